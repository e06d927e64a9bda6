//! `/sockjs/info` at the edge: answered as the app's own release last answered it, with fresh entropy.
//!
//! It spares the app half the requests of a reconnect storm. Nothing is invented: an answer is only
//! given again for the release that gave it and to the origin that got it, so that an app's own rule
//! of who may connect stays its own.

#[cfg(test)]
mod tests;

use std::sync::Mutex;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, ORIGIN, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::vitals::lock;

/// An answer that is larger is none of SockJS's, whose answers have about 80 bytes.
pub const ANSWER_BYTES_MAX: usize = 4_096;
/// Answers kept of one app: its releases in a roll, times the origins that its pages come from.
const ANSWERS_KEPT: usize = 16;

/// What the app's releases answered.
#[derive(Debug, Default)]
pub struct InfoAnswers(Mutex<Vec<Learned>>);

#[derive(Clone, Debug)]
struct Learned {
    release: u64,
    origin: Option<HeaderValue>,
    headers: Vec<(HeaderName, HeaderValue)>,
    fields: Map<String, Value>,
}

/// An answer that is on its way from the app, to be learned from.
#[derive(Debug, Default)]
pub struct Lesson {
    pub origin: Option<HeaderValue>,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Lesson {
    pub fn of(request: &HeaderMap) -> Self {
        Self { origin: request.get(ORIGIN).cloned(), ..Self::default() }
    }
}

impl InfoAnswers {
    /// Keeps what the app answered, if it is an answer of SockJS.
    pub fn learn(&self, release: u64, lesson: Lesson) {
        let Ok(Value::Object(fields)) = serde_json::from_slice(&lesson.body) else { return };
        if !fields.contains_key("entropy") {
            return;
        }
        let own = |name: &HeaderName| {
            ![CONNECTION, CONTENT_LENGTH, DATE, SET_COOKIE, TRANSFER_ENCODING].contains(name)
                && !name.as_str().starts_with("x-karman")
        };
        let headers =
            lesson.headers.iter().filter(|(name, _)| own(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
        let learned = Learned { release, origin: lesson.origin, headers, fields };
        let mut answers = lock(&self.0);
        answers.retain(|known| known.release != release || known.origin != learned.origin);
        if answers.len() == ANSWERS_KEPT {
            answers.remove(0);
        }
        answers.push(learned);
    }

    /// The answer for this release and origin, if one was learned: its fields and its body.
    pub fn answer(
        &self,
        release: u64,
        origin: Option<&HeaderValue>,
        entropy: u32,
    ) -> Option<(Vec<(HeaderName, HeaderValue)>, String)> {
        let mut learned =
            lock(&self.0).iter().find(|known| known.release == release && known.origin.as_ref() == origin).cloned()?;
        learned.fields.insert("entropy".to_owned(), entropy.into());
        Some((learned.headers, Value::Object(learned.fields).to_string()))
    }
}
