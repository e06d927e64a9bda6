//! Route 53 itself, through the AWS SDK. The only files that name the SDK are this one and those below it.

mod convert;

use std::error::Error;
use std::fmt::{self, Debug};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::BehaviorVersion;
use aws_config::meta::region::RegionProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_route53::Client;
use aws_sdk_route53::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_route53::operation::change_resource_record_sets::ChangeResourceRecordSetsError;
use aws_sdk_route53::types::{ChangeBatch, ChangeStatus, HealthCheckConfig, HealthCheckType, RrType};

use super::health::{Check, Existing};
use super::plan::Change;
use super::record::{Name, Record};
use super::service::{ChangeId, Cursor, Page, Refusal, Service};

/// The service lives in one region, whichever regions its answers lead to.
const REGION: &str = "us-east-1";
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// How often a checker of the service asks, and how many answers in a row change its mind.
const CHECK_EVERY_SECONDS: i32 = 10;
const CHECK_THRESHOLD: i32 = 3;
/// What a message of the service may add to ours.
const SAID_CHARACTERS_MAX: usize = 500;

pub struct Route53 {
    client: Client,
}

impl Route53 {
    /// Credentials and endpoint come from where AWS's own tools take them: environment, profile, the
    /// machine's or container's role.
    pub async fn from_environment() -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIME_MAX)
            .operation_attempt_timeout(ANSWER_TIME_MAX)
            .operation_timeout(ANSWER_TIME_MAX)
            .build();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(RegionProviderChain::default_provider().or_else(REGION))
            // Ours knows the account's limits and what may be tried again.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .load()
            .await;
        Self::new(Client::new(&config))
    }

    /// Through a client that is set up otherwise.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Service for Route53 {
    async fn zone_name(&self, zone: &str) -> Result<Name, Refusal> {
        let found = self.client.get_hosted_zone().id(zone).send().await.map_err(refusal)?;
        let zone = found.hosted_zone().ok_or_else(|| Refusal::NotFound(format!("no zone {zone}")))?;
        Ok(Name::of_service(zone.name()))
    }

    async fn records(&self, zone: &str, after: Option<Cursor>) -> Result<Page<Record, Cursor>, Refusal> {
        let mut list = self.client.list_resource_record_sets().hosted_zone_id(zone);
        if let Some(Cursor { name, kind, id }) = after {
            let kind = kind.as_deref().map(RrType::from);
            list = list.start_record_name(name).set_start_record_type(kind).set_start_record_identifier(id);
        }
        let page = list.send().await.map_err(refusal)?;
        let next = page.is_truncated().then(|| Cursor {
            name: page.next_record_name().unwrap_or_default().to_owned(),
            kind: page.next_record_type().map(|kind| kind.as_str().to_owned()),
            id: page.next_record_identifier().map(ToOwned::to_owned),
        });
        Ok(Page { items: page.resource_record_sets().iter().map(convert::record).collect(), next })
    }

    async fn change(&self, zone: &str, changes: &[Change]) -> Result<ChangeId, Refusal> {
        let changes = changes.iter().map(convert::change).collect::<Result<Vec<_>, _>>().map_err(unsaid)?;
        let batch = ChangeBatch::builder().set_changes(Some(changes)).comment("karman").build().map_err(unsaid)?;
        let sent = self.client.change_resource_record_sets().hosted_zone_id(zone).change_batch(batch).send().await;
        let made = sent.map_err(|error| match error.as_service_error() {
            Some(ChangeResourceRecordSetsError::InvalidChangeBatch(invalid)) if !invalid.messages().is_empty() => {
                Refusal::Invalid(bounded(&invalid.messages().join("; ")))
            }
            _ => refusal(error),
        })?;
        made.change_info()
            .map(|info| ChangeId(info.id().to_owned()))
            .ok_or_else(|| Refusal::Unreachable("the answer names no change".to_owned()))
    }

    async fn is_everywhere(&self, change: &ChangeId) -> Result<bool, Refusal> {
        let found = self.client.get_change().id(&change.0).send().await.map_err(refusal)?;
        Ok(found.change_info().is_some_and(|info| *info.status() == ChangeStatus::Insync))
    }

    async fn health_checks(&self, after: Option<String>) -> Result<Page<Existing, String>, Refusal> {
        let page = self.client.list_health_checks().set_marker(after).send().await.map_err(refusal)?;
        let existing = |check: &aws_sdk_route53::types::HealthCheck| Existing {
            id: check.id().into(),
            reference: check.caller_reference().to_owned(),
        };
        let next = page.next_marker().filter(|_| page.is_truncated()).map(ToOwned::to_owned);
        Ok(Page { items: page.health_checks().iter().map(existing).collect(), next })
    }

    async fn create_health_check(&self, check: &Check, reference: &str) -> Result<Box<str>, Refusal> {
        let config = HealthCheckConfig::builder()
            .r#type(HealthCheckType::Https)
            .fully_qualified_domain_name(check.host.as_str())
            .port(check.port.into())
            .resource_path(&*check.path)
            .enable_sni(true)
            .request_interval(CHECK_EVERY_SECONDS)
            .failure_threshold(CHECK_THRESHOLD)
            .build()
            .map_err(unsaid)?;
        let create = self.client.create_health_check().caller_reference(reference).health_check_config(config);
        let made = create.send().await.map_err(refusal)?;
        made.health_check()
            .map(|check| check.id().into())
            .ok_or_else(|| Refusal::Unreachable("the answer names no health check".to_owned()))
    }

    async fn delete_health_check(&self, id: &str) -> Result<(), Refusal> {
        match self.client.delete_health_check().health_check_id(id).send().await.map_err(refusal) {
            Ok(_) | Err(Refusal::NotFound(_)) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }
}

/// What the service meant. Throttling is a 400 here, not a 429.
fn refusal<E, R>(error: SdkError<E, R>) -> Refusal
where
    E: ProvideErrorMetadata + Error + 'static,
    R: Debug + 'static,
{
    let SdkError::ServiceError(answered) = &error else {
        return Refusal::Unreachable(bounded(&DisplayErrorContext(&error).to_string()));
    };
    let (code, message) = (answered.err().code().unwrap_or("an error without a code"), answered.err().message());
    let said = bounded(&message.map_or_else(|| code.to_owned(), |message| format!("{code}: {message}")));
    match code {
        "Throttling" | "ThrottlingException" | "TooManyRequestsException" => Refusal::Throttled,
        "PriorRequestNotComplete" => Refusal::Busy,
        "InvalidChangeBatch" | "InvalidInput" => Refusal::Invalid(said),
        "NoSuchHostedZone" | "NoSuchChange" | "NoSuchHealthCheck" => Refusal::NotFound(said),
        "InternalError" | "InternalFailure" | "ServiceUnavailable" => Refusal::Unreachable(said),
        _ => Refusal::Denied(said),
    }
}

/// A call that could not even be put into words.
fn unsaid(error: impl Error) -> Refusal {
    Refusal::Invalid(bounded(&error.to_string()))
}

fn bounded(text: &str) -> String {
    text.chars().take(SAID_CHARACTERS_MAX).collect()
}

impl Debug for Route53 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Route 53")
    }
}
