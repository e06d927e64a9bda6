//! The controller `dns`: keeps the records that lead clients to the nearest healthy region.
//!
//! [`plan`] decides, with [`desired`], [`batch`], [`guard`] and [`health`]; [`apply`] acts through
//! [`calls`] on a [`service`].

pub mod apply;
pub mod batch;
pub mod bucket;
pub mod calls;
pub mod challenge;
pub mod controller;
pub mod desired;
pub mod guard;
pub mod health;
pub mod plan;
pub mod record;
pub mod route53;
pub mod run;
pub mod service;
pub mod settings;
pub mod show;
#[cfg(test)]
mod strict;
#[cfg(test)]
mod strict_service;
