//! Karman's control plane: the store, the controllers that meet in it, and the operators' verbs.
//!
//! A controller reads the store, decides in a pure function, and acts. [`catalog`], [`compose`] and
//! [`layer`] decide; [`store`], [`admin`] and the controllers' own loops act.

pub mod admin;
pub mod catalog;
pub mod certificates;
pub mod cli;
pub mod compose;
pub mod cores;
pub mod dns;
pub mod failure;
pub mod keys;
pub mod layer;
pub mod publish;
pub mod sealing;
pub mod shared_map;
pub mod signals;
pub mod store;
pub mod up;
pub mod verbs;
