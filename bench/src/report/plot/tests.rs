//! Lines can be told apart.

use std::collections::HashSet;

use super::*;
use crate::contender;

#[test]
fn no_two_contenders_lines_look_the_same() {
    let looks: HashSet<String> = (0..contender::ALL.len()).map(stroke).collect();
    assert_eq!(looks.len(), contender::ALL.len());
}
