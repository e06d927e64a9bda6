//! Which CA an order goes to.

use super::sample::{at, settings};
use crate::certificates::choice::Health;
use crate::certificates::look::Caa;
use crate::certificates::trouble::{Remedy, Trouble};

#[test]
fn a_ca_is_well_again_by_its_own_answer_only() {
    let settings = settings(&["first", "second"]);
    let down = Trouble { remedy: Remedy::GoOn, what: "no answer".to_owned(), wait: None, of_the_ca: true };
    let of_ours = Trouble::passing("the key cannot be sealed");
    let refused = Trouble::of_the_name("no such name");
    for (name, trouble, answered, expected) in [
        ("an account that was open already", None, false, "second"),
        ("a failure of ours", Some(&of_ours), false, "second"),
        ("it is down still", Some(&down), true, "second"),
        ("an answer", None, true, "first"),
        ("an answer that refuses the name", Some(&refused), true, "first"),
    ] {
        let mut health = Health::default();
        health.note("first", Some(&down), false, at(0));
        health.note("first", trouble, answered, at(0));
        let host = "a.example.com".parse().unwrap();
        let chosen = health.choose(&settings, "first", &host, &Caa::default(), at(1)).unwrap();
        assert_eq!(chosen.name, expected, "{name}");
    }
}
