//! The gate of new sockets: `/sockjs/info` and raw upgrades wait here for their instance to take one more.

use std::time::Duration;

use http::Method;
use http::header::ORIGIN;
use karman_contract::app::InfoFrom;
use karman_contract::code::Code;
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

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
        self.choose(x).await.map_err(|code| stop(x, code))?;
        self.pass(x, INFO_PATIENCE).await.map_err(|code| stop(x, code))?;
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
    pub(super) async fn pass_upgrade(&self, x: &mut Exchange) -> Result<(), Code> {
        if x.sockjs_part().is_some() { Ok(()) } else { self.pass(x, UPGRADE_PATIENCE).await }
    }

    async fn pass(&self, x: &Exchange, patience: Duration) -> Result<(), Code> {
        let (Some(app), Some(chosen)) = (&x.app, &x.chosen) else { return Err(Code::Internal) };
        let instance = &chosen.in_flight.instance;
        // A newborn takes as small a part of a herd as of everything else.
        let per_second = self.edge.share.of(app.wire.limits.sockets_per_second) * app.warmth(instance);
        match instance.admission.book(clock::now(), per_second, patience) {
            Some(Duration::ZERO) => Ok(()),
            Some(wait) => {
                let _waiting = Counted::new(&app.vitals, |vitals| &vitals.waiting);
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => Err(Code::QueueTimeout),
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
