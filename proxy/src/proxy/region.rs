//! `/healthz/region`, for health checkers that come in where clients do.

use http::Method;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::Proxy;
use super::say::say;
use crate::exchange::Exchange;

/// Where the health of a region is asked for, on any host that is no app's: no app's own path is taken.
const PATH: &str = "/healthz/region";

impl Proxy {
    pub(super) fn asks_region(x: &Exchange) -> bool {
        x.path == PATH && matches!(x.method, Method::GET | Method::HEAD)
    }

    pub(super) async fn tell_region(&self, session: &mut Session, x: &mut Exchange) -> Result<()> {
        let (status, text) = self.edge.region_health();
        let mut response = ResponseHeader::build(status, Some(3))?;
        response.insert_header(CONTENT_TYPE, "text/plain; charset=utf-8")?;
        response.insert_header(CACHE_CONTROL, "no-store")?;
        say(session, x, response, text).await
    }
}
