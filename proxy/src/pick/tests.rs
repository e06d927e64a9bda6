//! The choice of an instance, case by case.

use karman_contract::document::{AppsDocument, from_json};

use super::*;
use crate::documents::Table;
use crate::table::Apps;

/// An app with the instances `a` to `d`, each in the state given, and whether it is usable.
fn app(sticky: &str, states: &[(&str, bool)]) -> Arc<App> {
    let instances: Vec<_> = states
        .iter()
        .enumerate()
        .map(|(n, (state, _))| {
            format!(r#""{}":{{"address":"10.0.0.{}:3000","state":"{state}"}}"#, ["a", "b", "c", "d"][n], n + 1)
        })
        .collect();
    let json = format!(
        r#"{{"generation":1,"apps":{{"x":{{"hosts":["x.example.com"],"drain":{{"sticky":"{sticky}"}},"instances":{{{}}}}}}}}}"#,
        instances.join(",")
    );
    let document: AppsDocument = from_json(&json).unwrap();
    let (table, _) = Apps::default().replaced_by(document).unwrap();
    let app = Arc::clone(table.get("x").unwrap());
    for (instance, (_, usable)) in app.instances.iter().zip(states) {
        instance.vitals.quarantine(!usable);
    }
    app
}

fn chosen(app: &App, bound: Option<usize>, tried: &[usize]) -> Result<(String, Stickiness), Absence> {
    let bound = bound.map(|n| Bound { release: 0, tag: app.instances.get(n).map_or(1, |instance| instance.tag) });
    let tried: Vec<_> = tried.iter().map(|n| Arc::clone(&app.instances[*n].vitals)).collect();
    let wish = Wish { bound, session: None, tried: &tried };
    pick(app, wish, |_| 1).map(|(instance, stickiness)| (instance.id.to_string(), stickiness))
}

fn is(id: &str, stickiness: Stickiness) -> Result<(String, Stickiness), Absence> {
    Ok((id.to_owned(), stickiness))
}

#[test]
fn a_bound_client_stays_while_its_instance_can_serve() {
    let up = app("move", &[("ready", true), ("ready", true)]);
    assert_eq!(chosen(&up, Some(1), &[]), is("b", Stickiness::Hit));
    assert_eq!(chosen(&up, Some(9), &[]), is("a", Stickiness::Lost));
    assert_eq!(chosen(&up, Some(1), &[1]), is("a", Stickiness::Moved), "it could not be reached");
    let ill = app("move", &[("ready", true), ("ready", false)]);
    assert_eq!(chosen(&ill, Some(1), &[]), is("a", Stickiness::Moved));
}

#[test]
fn what_is_in_quarantine_is_better_than_nothing_and_what_was_given_up_is_not() {
    let app = app("move", &[("ready", false), ("ready", true)]);
    app.instances[1].vitals.give_up(true);
    assert_eq!(chosen(&app, None, &[]), is("a", Stickiness::New));
    assert_eq!(chosen(&app, Some(1), &[]), is("a", Stickiness::Moved), "not even for who is bound to it");
    app.instances[0].vitals.give_up(true);
    assert_eq!(chosen(&app, None, &[]), Err(Absence::Down));
    app.instances[1].vitals.give_up(false);
    assert_eq!(chosen(&app, Some(1), &[]), is("b", Stickiness::Hit));
}

#[test]
fn a_draining_instance_keeps_its_clients_only_if_asked_to_and_takes_no_new_ones() {
    for (sticky, wanted) in [("keep", is("a", Stickiness::Hit)), ("move", is("b", Stickiness::Moved))] {
        let app = app(sticky, &[("draining", true), ("ready", true)]);
        assert_eq!(chosen(&app, Some(0), &[]), wanted);
        assert_eq!(chosen(&app, None, &[]), is("b", Stickiness::New));
    }
}

#[test]
fn quarantine_is_ignored_when_nothing_else_is_left() {
    let app = app("move", &[("ready", false), ("ready", true)]);
    assert_eq!(chosen(&app, None, &[]), is("b", Stickiness::New));
    assert_eq!(chosen(&app, None, &[1]), is("a", Stickiness::New));
    assert_eq!(chosen(&app, None, &[0, 1]), Err(Absence::Down));
}

#[test]
fn an_app_that_only_starts_is_not_down() {
    assert_eq!(chosen(&app("move", &[("starting", true)]), None, &[]), Err(Absence::Starting));
    assert_eq!(chosen(&app("move", &[("draining", true)]), None, &[]), Err(Absence::Down));
    assert_eq!(chosen(&app("move", &[]), None, &[]), Err(Absence::Down));
}

#[test]
fn a_session_without_cookies_stays_at_one_instance() {
    let app = app("move", &[("ready", true), ("ready", true), ("ready", true)]);
    let at = |session: &str| {
        let wish = Wish { bound: None, session: Some(session), tried: &[] };
        pick(&app, wish, |_| 0).map(|(instance, _)| instance.id.to_string()).unwrap()
    };
    let instances: std::collections::HashSet<_> = (0..50).map(|n| at(&format!("s{n}"))).collect();
    assert_eq!(instances.len(), 3);
    assert!((0..50).all(|n| at(&format!("s{n}")) == at(&format!("s{n}"))));
}

#[test]
fn a_client_keeps_to_its_release_and_never_goes_back() {
    let at = |releases: &[u64], seen: Option<u64>| {
        let instances: Vec<_> = releases
            .iter()
            .enumerate()
            .map(|(n, release)| {
                format!(r#""i{n}":{{"address":"10.0.0.{n}:3000","release":{release}}}"#).replace("10.0.0.0", "10.0.0.9")
            })
            .collect();
        let json =
            format!(r#"{{"generation":1,"apps":{{"x":{{"hosts":["x.example.com"],"instances":{{{}}}}}}}}}"#, instances.join(","));
        let (table, _) = Apps::default().replaced_by(from_json(&json).unwrap()).unwrap();
        // Bound to an instance that is gone.
        let wish = Wish { bound: seen.map(|release| Bound { release, tag: 1 }), session: None, tried: &[] };
        let mut random = fastrand::Rng::with_seed(5);
        let chosen = |_| pick(table.get("x").unwrap(), wish, |n| random.usize(..n)).unwrap().0.release;
        (0..50).map(chosen).collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(at(&[6, 7], None), [6, 7], "a new client may load either");
    assert_eq!(at(&[6, 7, 8], Some(7)), [7]);
    assert_eq!(at(&[6, 8, 9], Some(7)), [8, 9], "never back");
    assert_eq!(at(&[5, 6], Some(7)), [5, 6], "unless nothing else is up");
}
