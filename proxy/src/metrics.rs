//! `GET /metrics`: the numbers of the process and of each app, in OpenMetrics text, or the older text for who asks for that.
//!
//! The only file that names the metrics crate. The numbers themselves are plain atomics, read here at
//! a scrape: an app that is gone has no series, and no request waits for a registry.

pub mod classic;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use jiff::Timestamp;
use karman_contract::code::Code;
use karman_contract::document::DocumentName;
use karman_contract::status::Health;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::admin::Admin;
use crate::certificates::Standing;
use crate::documents::Table;
use crate::table::{App, Apps};
use crate::vitals::{AppVitals, ClosedBy, SECONDS_BUCKETS, lock};

/// The label of requests that belong to no app. No app can have it: it is no app id.
const NOBODY: &str = "_unknown";

/// Everything as text. Slow with many apps: call it off the request path.
pub fn text(admin: &Arc<Admin>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { table: admin.apps.live.pin(), admin: Arc::clone(admin) }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// One scrape: all its series are of one table.
#[derive(Debug)]
struct Scrape {
    admin: Arc<Admin>,
    table: Arc<Apps>,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_apps(&mut encoder)?;
        self.encode_process(&mut encoder)?;
        self.encode_documents(&mut encoder)
    }
}

impl Scrape {
    fn encode_apps(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let apps = self.apps();
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        family(encoder, "karman_requests", "Requests answered, by app and class of status", MetricType::Counter, |metric| {
            each(&apps, classes.into_iter().zip(0..), |app, index: usize| app.requests[index].load(Relaxed))
                .try_for_each(|(app, class, count)| counter(metric, &[("app", app), ("class", class)], count))
        })?;
        family(
            encoder,
            "karman_refusals",
            "Answers that the edge made itself, by app and code",
            MetricType::Counter,
            |metric| {
                each(&apps, Code::ALL.iter().map(|code| (code.as_str(), *code)), |app, code| {
                    app.refusals[code as usize].load(Relaxed)
                })
                .try_for_each(|(app, code, count)| counter(metric, &[("app", app), ("code", code)], count))
            },
        )?;
        family(encoder, "karman_request_seconds", "Time from head to last byte, by app", MetricType::Histogram, |metric| {
            apps.iter().try_for_each(|(app, vitals)| histogram(metric, app, vitals))
        })?;
        family(encoder, "karman_queued", "Requests that wait for their turn, by app", MetricType::Gauge, |metric| {
            apps.iter().try_for_each(|(app, vitals)| gauge(metric, &[("app", app)], vitals.turns.queued().into()))
        })?;
        let gauges: [(&str, &str, Count<AtomicU32>); 3] = [
            ("karman_in_flight", "Requests that are being answered, by app", |app| &app.in_flight),
            ("karman_held", "Requests that wait for an instance, by app", |app| &app.held),
            ("karman_waiting", "New sockets that wait for their instance to take them, by app", |app| &app.waiting),
        ];
        for (name, help, of) in gauges {
            family(encoder, name, help, MetricType::Gauge, |metric| {
                apps.iter().try_for_each(|(app, vitals)| gauge(metric, &[("app", app)], of(vitals).load(Relaxed).into()))
            })?;
        }
        let elsewhere = self.admin.edge.processes.tunnels();
        family(encoder, "karman_sockets", "Tunnels that are open, by app", MetricType::Gauge, |metric| {
            apps.iter().try_for_each(|(app, vitals)| {
                let open = u64::from(vitals.sockets.load(Relaxed)) + elsewhere.get(*app).copied().unwrap_or(0);
                gauge(metric, &[("app", app)], open as f64)
            })
        })?;
        family(encoder, "karman_sockets_opened", "Tunnels opened, by app", MetricType::Counter, |metric| {
            apps.iter().try_for_each(|(app, vitals)| counter(metric, &[("app", app)], vitals.books.opened.load(Relaxed)))
        })?;
        family(encoder, "karman_sockets_closed", "Tunnels closed, by app and who ended them", MetricType::Counter, |metric| {
            each(&apps, ClosedBy::ALL.iter().map(|by| (by.as_str(), *by)), |app, by| app.books.closed(by).load(Relaxed))
                .try_for_each(|(app, by, count)| counter(metric, &[("app", app), ("by", by)], count))
        })?;
        let directions: [(&str, Count<AtomicU64>); 2] = [("in", |app| &app.books.bytes_in), ("out", |app| &app.books.bytes_out)];
        family(encoder, "karman_bytes", "Bytes of bodies and tunnels, by app and direction", MetricType::Counter, |metric| {
            each(&apps, directions.into_iter(), |app, of| of(app).load(Relaxed))
                .try_for_each(|(app, direction, count)| counter(metric, &[("app", app), ("direction", direction)], count))
        })
    }

    fn encode_process(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let edge = &self.admin.edge;
        family(encoder, "karman_instances", "Instances in the table, by health", MetricType::Gauge, |metric| {
            let count = |health| self.table.iter().flat_map(|app| &app.instances).filter(|i| i.vitals.health() == health).count();
            [("up", Health::Up), ("quarantined", Health::Quarantined), ("down", Health::Down), ("unknown", Health::Unknown)]
                .into_iter()
                .try_for_each(|(state, health)| gauge(metric, &[("state", state)], count(health) as f64))
        })?;
        family(encoder, "karman_retries", "Retries, by what became of them", MetricType::Counter, |metric| {
            counter(metric, &[("outcome", "sent")], edge.counts.retries_sent.load(Relaxed))?;
            counter(metric, &[("outcome", "over-budget")], edge.counts.retries_refused.load(Relaxed))
        })?;
        family(
            encoder,
            "karman_limit_used_ratio",
            "How much of a limit of the process is used, 0 to 1",
            MetricType::Gauge,
            |metric| {
                let limits = &edge.settings.limits;
                gauge(metric, &[("limit", "connections")], edge.connections() as f64 / limits.connections as f64)?;
                gauge(metric, &[("limit", "memory")], edge.memory.used_ratio())?;
                gauge(metric, &[("limit", "held_requests")], edge.waiting_room.used_ratio())
            },
        )?;
        family(encoder, "karman_handshakes", "TLS handshakes, by what became of them", MetricType::Counter, |metric| {
            edge.tls.outcomes.counts().try_for_each(|(outcome, count)| counter(metric, &[("outcome", outcome.as_str())], count))
        })?;
        self.encode_certificates(encoder)?;
        family(encoder, "karman_processes", "Processes of this edge, by role", MetricType::Gauge, |metric| {
            gauge(metric, &[("role", "current")], 1.0)?;
            gauge(metric, &[("role", "previous")], edge.processes.reports().len() as f64)
        })?;
        family(encoder, "karman_log_dropped", "Lines of the access log that were lost", MetricType::Counter, |metric| {
            counter(metric, &[], edge.access_log.dropped())
        })?;
        let mut metric = encoder.encode_descriptor("karman_build", "The build that runs", None, MetricType::Info)?;
        metric.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
    }

    fn encode_certificates(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (table, now) = (self.admin.certificates.live.pin(), Timestamp::now());
        family(encoder, "karman_certificates", "Certificates in the table, by state", MetricType::Gauge, |metric| {
            let count = |standing| table.iter().filter(|certificate| certificate.standing(now) == standing).count();
            [("valid", Standing::Valid), ("expiring", Standing::Expiring), ("expired", Standing::Expired)]
                .into_iter()
                .try_for_each(|(state, standing)| gauge(metric, &[("state", state)], count(standing) as f64))
        })?;
        let help = "When the first of the certificates that have not expired will, in seconds since 1970";
        family(encoder, "karman_certificate_expiry_timestamp_seconds", help, MetricType::Gauge, |metric| {
            let left = table.iter().map(|certificate| certificate.not_after()).filter(|until| *until > now);
            left.min().map_or(Ok(()), |until| gauge(metric, &[], until.as_second() as f64))
        })
    }

    fn encode_documents(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let admin = &self.admin;
        let (keys, key_times) = admin.keys.times();
        let documents = [
            (DocumentName::Apps, self.table.stamp(), admin.apps.times()),
            (DocumentName::Pages, admin.pages.live.pin().stamp(), admin.pages.times()),
            (DocumentName::Certificates, admin.certificates.live.pin().stamp(), admin.certificates.times()),
            (DocumentName::Keys, keys, key_times),
        ];
        family(
            encoder,
            "karman_document_generation",
            "The generation of each document that is live",
            MetricType::Gauge,
            |metric| {
                documents.iter().try_for_each(|(name, stamp, _)| match stamp {
                    Some(stamp) => gauge(metric, &[("document", name.as_str())], stamp.generation as f64),
                    None => Ok(()),
                })
            },
        )?;
        let help = "When each document was last confirmed, in seconds since 1970";
        family(encoder, "karman_document_confirmed_timestamp_seconds", help, MetricType::Gauge, |metric| {
            documents.iter().try_for_each(|(name, _, times)| match times.confirmed {
                Some(at) => gauge(metric, &[("document", name.as_str())], at.as_millisecond() as f64 / 1_000.0),
                None => Ok(()),
            })
        })?;
        let help = "Whether nobody has confirmed a document for so long that it is doubted: 0 or 1";
        family(encoder, "karman_document_unconfirmed", help, MetricType::Gauge, |metric| {
            gauge(metric, &[("document", DocumentName::Apps.as_str())], f64::from(admin.edge.health.is_unconfirmed()))
        })?;
        family(encoder, "karman_document_refusals", "Changes refused, by document and error", MetricType::Counter, |metric| {
            lock(&admin.edge.counts.document_refusals)
                .iter()
                .try_for_each(|((name, error), count)| counter(metric, &[("document", name.as_str()), ("error", error)], *count))
        })
    }

    /// The apps that anything was counted of, in order, and the bucket of requests without an app.
    fn apps(&self) -> Vec<(&str, &AppVitals)> {
        let elsewhere = self.admin.edge.processes.tunnels();
        let used = |app: &&Arc<App>| {
            app.vitals.requests.iter().any(|count| count.load(Relaxed) > 0)
                || app.vitals.in_flight.load(Relaxed) > 0
                || app.vitals.books.opened.load(Relaxed) > 0
                || elsewhere.contains_key(app.id.as_str())
        };
        let mut apps: Vec<_> = self.table.iter().filter(used).map(|app| (app.id.as_str(), &*app.vitals)).collect();
        apps.sort_unstable_by_key(|(id, _)| *id);
        apps.push((NOBODY, &self.admin.edge.nobody));
        apps
    }
}

fn family(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    kind: MetricType,
    series: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    series(&mut encoder.encode_descriptor(name, help, None, kind)?)
}

/// Every app with every value of a second label, where something was counted.
fn each<'a, L: Copy>(
    apps: &'a [(&'a str, &'a AppVitals)],
    labels: impl Iterator<Item = (&'static str, L)> + Clone + 'a,
    count: impl Fn(&AppVitals, L) -> u64 + Copy + 'a,
) -> impl Iterator<Item = (&'a str, &'static str, u64)> {
    apps.iter()
        .flat_map(move |(app, vitals)| labels.clone().map(move |(name, label)| (*app, name, count(vitals, label))))
        .filter(|(_, _, count)| *count > 0)
}

/// Where a number of an app stands.
type Count<A> = fn(&AppVitals) -> &A;

type Labels<'a> = &'a [(&'a str, &'a str)];

fn counter(metric: &mut MetricEncoder<'_>, labels: Labels<'_>, value: u64) -> fmt::Result {
    // A family with no labels would write empty braces.
    match labels {
        [] => metric.encode_counter::<Labels<'_>, _, f64>(&value, None),
        labels => metric.encode_family(&labels)?.encode_counter::<Labels<'_>, _, f64>(&value, None),
    }
}

fn gauge(metric: &mut MetricEncoder<'_>, labels: Labels<'_>, value: f64) -> fmt::Result {
    match labels {
        [] => metric.encode_gauge(&value),
        labels => metric.encode_family(&labels)?.encode_gauge(&value),
    }
}

fn histogram(metric: &mut MetricEncoder<'_>, app: &str, vitals: &AppVitals) -> fmt::Result {
    let bounds = SECONDS_BUCKETS.into_iter().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(vitals.seconds.iter().map(|count| count.load(Relaxed))).collect();
    let sum = vitals.seconds_sum_micros.load(Relaxed) as f64 / 1e6;
    let count = buckets.iter().map(|(_, count)| count).sum();
    metric.encode_family(&[("app", app)])?.encode_histogram::<Labels<'_>>(sum, count, &buckets, None)
}
