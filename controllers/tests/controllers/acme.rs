//! The controller `certificates` against real CAs, and a scripted one for what the real one lacks.

#[path = "acme/by_hand.rs"]
mod by_hand;
#[path = "acme/https.rs"]
mod https;
#[path = "acme/killing.rs"]
mod killing;
#[path = "acme/pebble.rs"]
mod pebble;
#[path = "acme/platform.rs"]
mod platform;
#[path = "acme/relay.rs"]
mod relay;
#[path = "acme/restarting.rs"]
mod restarting;
#[path = "acme/scripted.rs"]
mod scripted;
#[path = "acme/through_the_edge.rs"]
mod through_the_edge;
#[path = "acme/with_pebble.rs"]
mod with_pebble;
#[path = "acme/with_script.rs"]
mod with_script;
