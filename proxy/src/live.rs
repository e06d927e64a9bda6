//! One cell whose value is replaced whole while requests read it.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// The current value of something that changes at run time. Readers pin a value and keep it for as
/// long as they need it to be one and the same; writers build the next one beside it.
#[derive(Debug)]
pub struct Live<T>(ArcSwap<T>);

impl<T> Live<T> {
    pub fn new(value: T) -> Self {
        Self(ArcSwap::from_pointee(value))
    }

    /// The value as it is now; it stays what it is while the caller holds it.
    pub fn pin(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces the value. Callers that pinned the old one are not disturbed.
    pub fn publish(&self, value: Arc<T>) {
        self.0.store(value);
    }
}
