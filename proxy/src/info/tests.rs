//! Learning and answering.

use super::*;

fn lesson(origin: Option<&'static str>, body: &str) -> Lesson {
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("content-type", "application/json"), ("date", "now"), ("set-cookie", "a=b"), ("access-control-allow-origin", "*")]
    {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    Lesson { origin: origin.map(HeaderValue::from_static), headers, body: body.into() }
}

#[test]
fn an_answer_is_given_again_for_its_release_and_origin_only() {
    let answers = InfoAnswers::default();
    let page = HeaderValue::from_static("https://todos.example.com");
    assert!(answers.answer(7, None, 1).is_none(), "never for an app that has not answered once");
    answers.learn(
        7,
        lesson(Some("https://todos.example.com"), r#"{"websocket":false,"origins":["*:*"],"entropy":5,"base_url":"/x"}"#),
    );
    let (headers, body) = answers.answer(7, Some(&page), 99).unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body, serde_json::json!({"websocket": false, "origins": ["*:*"], "entropy": 99, "base_url": "/x"}));
    let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-type", "access-control-allow-origin"]);
    assert!(answers.answer(8, Some(&page), 1).is_none(), "another release may answer otherwise");
    assert!(answers.answer(7, None, 1).is_none());
    assert!(answers.answer(7, Some(&HeaderValue::from_static("https://evil.example")), 1).is_none());
}

#[test]
fn what_is_not_sockjs_is_not_learned_and_little_is_kept() {
    let answers = InfoAnswers::default();
    for body in ["<!doctype html>", "[]", "{}", r#"{"websocket":true"#] {
        answers.learn(1, lesson(None, body));
    }
    assert!(answers.answer(1, None, 1).is_none());
    for release in 0..100 {
        answers.learn(release, lesson(None, r#"{"entropy":1}"#));
    }
    assert_eq!(lock(&answers.0).len(), ANSWERS_KEPT);
    assert!(answers.answer(99, None, 1).is_some());
}
