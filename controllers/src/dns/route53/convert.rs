//! Records and changes, between our words and the SDK's.

use aws_sdk_route53::error::BuildError;
use aws_sdk_route53::types::{
    AliasTarget, Change as Sent, ChangeAction, ResourceRecord, ResourceRecordSet, ResourceRecordSetRegion, RrType,
};

use crate::dns::plan::Change;
use crate::dns::record::{Answer, Name, Record, RecordType, Routing, SetKey};

pub(super) fn record(found: &ResourceRecordSet) -> Record {
    let kind = found.r#type().as_str().parse::<RecordType>();
    let kind = kind.unwrap_or_else(|never| match never {});
    let answer = match found.alias_target() {
        Some(alias) => Answer::Alias {
            zone: alias.hosted_zone_id().into(),
            target: Name::of_service(alias.dns_name()),
            evaluate_health: alias.evaluate_target_health(),
        },
        None => Answer::Values {
            ttl_seconds: found.ttl().and_then(|ttl| ttl.try_into().ok()).unwrap_or(0),
            values: found.resource_records().iter().map(|value| value.value().into()).collect(),
        },
    };
    Record {
        key: SetKey { name: Name::of_service(found.name()), kind },
        routing: routing(found),
        answer,
        health_check: found.health_check_id().map(Into::into),
    }
}

fn routing(found: &ResourceRecordSet) -> Routing {
    let is_managed = found.traffic_policy_instance_id().is_some();
    let Some(id) = found.set_identifier() else {
        return if is_managed { Routing::Other { id: "".into() } } else { Routing::Simple };
    };
    let weight = found.weight().and_then(|weight| u8::try_from(weight).ok());
    match (weight, found.region()) {
        _ if is_managed => Routing::Other { id: id.into() },
        (Some(weight), _) => Routing::Weighted { id: id.into(), weight },
        (None, Some(region)) => Routing::Latency { id: id.into(), region: region.as_str().into() },
        (None, None) => Routing::Other { id: id.into() },
    }
}

pub(super) fn change(change: &Change) -> Result<Sent, BuildError> {
    let action = match change {
        Change::Create(_) => ChangeAction::Create,
        Change::Upsert(_) => ChangeAction::Upsert,
        Change::Delete(_) => ChangeAction::Delete,
    };
    Sent::builder().action(action).resource_record_set(record_set(change.record())?).build()
}

fn record_set(record: &Record) -> Result<ResourceRecordSet, BuildError> {
    let set = ResourceRecordSet::builder()
        .name(record.key.name.as_str())
        .r#type(RrType::from(record.key.kind.as_str()))
        .set_set_identifier(record.routing.id().map(ToOwned::to_owned))
        .set_health_check_id(record.health_check.as_deref().map(ToOwned::to_owned));
    let set = match &record.routing {
        Routing::Simple | Routing::Other { .. } => set,
        Routing::Latency { region, .. } => set.region(ResourceRecordSetRegion::from(&**region)),
        Routing::Weighted { weight, .. } => set.weight((*weight).into()),
    };
    match &record.answer {
        Answer::Values { ttl_seconds, values } => {
            let values = values.iter().map(|value| ResourceRecord::builder().value(&**value).build());
            set.ttl((*ttl_seconds).into()).set_resource_records(Some(values.collect::<Result<_, _>>()?)).build()
        }
        Answer::Alias { zone, target, evaluate_health } => {
            let target = AliasTarget::builder()
                .hosted_zone_id(&**zone)
                .dns_name(target.as_str())
                .evaluate_target_health(*evaluate_health)
                .build()?;
            set.alias_target(target).build()
        }
    }
}
