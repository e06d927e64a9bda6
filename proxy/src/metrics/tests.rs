//! The form of the text; that the numbers are true is for the tests over real sockets.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::*;

/// Why this crate and not `prometheus`: there, two label sets whose values join to the same text are
/// one series, and tenants choose these values.
#[test]
fn label_sets_that_join_to_the_same_text_are_different_series() {
    let family = Family::<Vec<(String, String)>, Counter>::default();
    let labels = |app: &str, code: &str| vec![("app".to_owned(), app.to_owned()), ("code".to_owned(), code.to_owned())];
    family.get_or_create(&labels("app1", "2")).inc_by(1);
    family.get_or_create(&labels("app", "12")).inc_by(100);
    let mut registry = Registry::default();
    registry.register("x", "x", family);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    assert!(text.contains(r#"x_total{app="app1",code="2"} 1"#), "{text}");
    assert!(text.contains(r#"x_total{app="app",code="12"} 100"#), "{text}");
}
