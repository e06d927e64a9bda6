//! The gate of new sockets: `/sockjs/info` and raw upgrades wait here for their instance to take one more.

use std::time::Duration;

use http::Method;
use http::header::ORIGIN;
use karman_contract::app::InfoFrom;
use karman_contract::code::Code;
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::presence::while_there;
use super::say::say;
use super::{Proxy, stop};
use crate::caller::SockJsPart;
use crate::clock;
use crate::exchange::{Counted, Exchange};
use crate::info::Lesson;

/// How long a SockJS client's `/info` may take: it gives up after 8 s.
const INFO_PATIENCE: Duration = Duration::from_secs(5);
/// How long a raw upgrade may take: Meteor's client gives a connection 10 s in all.
const UPGRADE_PATIENCE: Duration = Duration::from_secs(8);

impl Proxy {
    /// Lets a `/sockjs/info` through the gate, and answers it where the app's answer is known.
    /// Says whether it did; if not, the app is to be asked.
    pub(super) async fn info(&self, session: &mut Session, x: &mut Exchange) -> Result<bool> {
        self.choose(session, x).await?;
        self.pass(session, x, INFO_PATIENCE).await?;
        x.is_chosen = true;
        let (Some(app), Some(chosen)) = (x.app.clone(), &x.chosen) else { return Err(stop(x, Code::Internal)) };
        if app.wire.sockjs.info == InfoFrom::App {
            return Ok(false);
        }
        let request = &session.req_header().headers;
        let Some((headers, body)) = app.vitals.info.answer(chosen.release, request.get(ORIGIN), fastrand::u32(..)) else {
            x.lesson = Some(Box::new(Lesson::of(request)));
            return Ok(false);
        };
        let mut response = ResponseHeader::build(200, Some(headers.len() + 4))?;
        for (name, value) in headers {
            response.append_header(name, value)?;
        }
        self.dress(&mut response, x)?;
        say(session, x, response, body).await?;
        Ok(true)
    }

    /// Waits until the chosen instance takes one more socket, or refuses: an upgrade is never accepted and then closed.
    ///
    /// An upgrade within SockJS came through the gate with its `/info`. Refused here, its client would
    /// fall back to polling for good.
    pub(super) async fn pass_upgrade(&self, session: &mut Session, x: &mut Exchange) -> Result<()> {
        if x.sockjs_part().is_some() { Ok(()) } else { self.pass(session, x, UPGRADE_PATIENCE).await }
    }

    async fn pass(&self, session: &mut Session, x: &mut Exchange, patience: Duration) -> Result<()> {
        let (Some(app), Some(chosen)) = (&x.app, &x.chosen) else { return Err(stop(x, Code::Internal)) };
        let instance = &chosen.in_flight.instance;
        // A newborn takes as small a part of a herd as of everything else.
        let per_second = self.edge.share.of(app.wire.limits.sockets_per_second) * app.warmth(instance);
        let now = clock::now();
        match instance.admission.book(now, per_second, patience) {
            Some(Duration::ZERO) => Ok(()),
            Some(wait) => {
                let _waiting = Counted::new(&app.vitals, |vitals| &vitals.waiting);
                let waited = while_there(session, tokio::time::sleep(wait)).await;
                waited.inspect_err(|_| instance.admission.give_back(now + wait))
            }
            None => Err(stop(x, Code::QueueTimeout)),
        }
    }

    /// Whether a request is for the gate.
    pub(super) fn asks_info(x: &Exchange) -> bool {
        x.method == Method::GET && x.sockjs_part() == Some(SockJsPart::Info)
    }

    /// Learns from the app's own answer to an `/info`.
    pub(super) fn learn(&self, x: &mut Exchange) {
        let Some(lesson) = x.lesson.take() else { return };
        if let (Some(app), Some(chosen)) = (&x.app, &x.chosen) {
            app.vitals.info.learn(chosen.release, *lesson);
        }
    }
}
