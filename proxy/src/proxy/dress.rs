//! An app's answer on its way out: whether a client can be given it, and what the edge adds to it.

use http::header::SET_COOKIE;
use jiff::Timestamp;
use karman_contract::app::Sticky;
use karman_contract::code::Code;
use pingora_error::Result;
use pingora_http::ResponseHeader;

use super::Proxy;
use crate::caller::Caller;
use crate::exchange::Exchange;
use crate::headers;
use crate::sticky::{self, Bound};

impl Proxy {
    /// Whether an app's answer is one that a client can be given.
    pub(super) fn judge_answer(&self, answer: &ResponseHeader) -> Result<(), Code> {
        let is_good = headers::has_one_framing(&answer.headers)
            && headers::bytes(&answer.headers) <= self.edge.settings.limits.answer_header_bytes;
        if is_good { Ok(()) } else { Err(Code::InstanceGarbage) }
    }

    /// Makes an app's response ours to give: its names, and the cookie where it belongs.
    pub(super) fn dress(&self, response: &mut ResponseHeader, x: &Exchange) -> Result<()> {
        let (Some(app), Some(chosen)) = (&x.app, &x.chosen) else { return Ok(()) };
        let instance = self.edge.settings.show_instance.then(|| chosen.id.as_str());
        headers::for_client(response, &x.request_id, instance)?;
        let bound = Bound { release: chosen.release, tag: chosen.tag };
        let binds = app.wire.sticky == Sticky::Cookie && x.caller != Caller::Asset && x.bound != Some(bound);
        if !binds || headers::is_shared(&response.headers, Timestamp::now()) {
            return Ok(());
        }
        if let Some(value) = self.edge.keys.pin().seal(&app.id, bound) {
            response.append_header(SET_COOKIE, sticky::set_cookie(&value, x.origin.secure))?;
        }
        Ok(())
    }
}
