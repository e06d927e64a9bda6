//! `karman`: the controllers and the operators' verbs, one subcommand each.

fn main() {}
