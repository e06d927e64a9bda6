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

#[test]
fn the_older_text_has_the_same_series_under_names_that_its_readers_know() {
    let openmetrics = "# HELP a Words of a\n# TYPE a counter\na_total{app=\"x\"} 1\n# HELP b Words\n# TYPE b info\n\
                       b_info{version=\"1\"} 1\n# HELP c Words\n# TYPE c gauge\n# UNIT c seconds\nc 2.0\n# EOF\n";
    let older = "# HELP a_total Words of a\n# TYPE a_total counter\na_total{app=\"x\"} 1\n# HELP b_info Words\n\
                 # TYPE b_info gauge\nb_info{version=\"1\"} 1\n# HELP c Words\n# TYPE c gauge\nc 2.0\n";
    assert_eq!(classic::text(openmetrics), older);
    for (accept, wanted) in [
        ("text/plain", true),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", true),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", false),
        ("*/*", false),
        ("", false),
    ] {
        assert_eq!(classic::is_wanted(accept), wanted, "{accept}");
    }
}
