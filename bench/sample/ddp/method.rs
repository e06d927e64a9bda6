//! The methods that a client may call.

use serde_json::{Value, json};

use super::message::Failure;
use crate::app::App;
use crate::todos::{LIST_LIMIT, Refusal, TEXT_LIMIT};

pub(super) fn run(app: &App, method: &str, params: Vec<Value>) -> Result<Value, Failure> {
    match method {
        "todos.insert" => Ok(json!(app.todos.insert(text(&params)?)?)),
        "todos.toggle" => app.todos.toggle(text(&params)?).map(|()| Value::Null).map_err(Failure::from),
        "todos.remove" => app.todos.remove(text(&params)?).map(|()| Value::Null).map_err(Failure::from),
        "instance" => Ok(json!(app.identity)),
        "echo" => Ok(params.into_iter().next().unwrap_or(Value::Null)),
        _ => Err(Failure::new(404, format!("Method '{method}' not found"))),
    }
}

/// The one parameter, which must be a string.
fn text(params: &[Value]) -> Result<&str, Failure> {
    match params {
        [Value::String(text)] => Ok(text),
        _ => Err(Failure::new(400, "Match failed")), // what Meteor's check() says
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Empty => Self::new(400, "a todo needs a text"),
            Refusal::TooLong => Self::new(400, format!("a todo has at most {TEXT_LIMIT} characters")),
            Refusal::Full => Self::new(409, format!("the list is full: {LIST_LIMIT} todos")),
            Refusal::Unknown => Self::new(404, "no such todo"),
            Refusal::Storage(error) => Self::new(507, format!("the change could not be saved: {error}")),
        }
    }
}
