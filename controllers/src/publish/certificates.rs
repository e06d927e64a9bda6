//! The certificates document of one proxy: what the store says, but for what the proxy refuses of it.

use karman_contract::answer::Refusal;
use karman_contract::document::{Certificate, Stamp};
use karman_contract::status::DocumentStatus;

use super::decide::{Has, Held};
use super::known::Known;
use super::ledger::Shared;
use super::left_out::LeftOut;
use super::outcome::Trouble;
use super::rejects::Rejects;
use super::send::{Unsent, send};
use super::wanted::Content;
use crate::admin::Admin;

/// How often one round asks anew after a refusal that taught us something.
const TRIES_MAX: usize = 6;

/// What a proxy is known to have.
#[derive(Default)]
pub struct HasCertificates {
    has: Has<Certificate>,
    rejects: Rejects,
    without: LeftOut<Certificate>,
}

impl HasCertificates {
    /// What the proxy says of its certificates, which may be what is wanted.
    pub fn met(&mut self, status: &DocumentStatus, wanted: Option<&Content<Certificate>>, known: &Known, is_new_run: bool) {
        if is_new_run {
            self.without = LeftOut::default();
        }
        let supposed = self.rejects.apply(&wanted.cloned().unwrap_or_default(), self.has.held().map(|held| &held.content));
        self.has = Has::recognized(status.stamp, status.hash.as_deref(), &supposed, known);
        if is_new_run {
            self.rejects.forget();
        }
    }

    pub fn stamp(&self) -> Option<Stamp> {
        self.has.stamp()
    }

    /// What the proxy is known to have, whole.
    pub fn held(&self) -> Option<&Held<Certificate>> {
        self.has.held()
    }

    pub fn rejects(&self) -> &Rejects {
        &self.rejects
    }

    pub fn without(&self) -> &LeftOut<Certificate> {
        &self.without
    }

    /// Makes the proxy have these certificates, but for what it refuses of them.
    pub async fn sync(
        &mut self,
        wanted: &Content<Certificate>,
        admin: &Admin,
        (stamp, ledger): (&mut Stamp, &Shared),
        (known, accept): (&Known, bool),
    ) -> Result<(), Trouble> {
        for _ in 0..TRIES_MAX {
            let content = self.rejects.apply(wanted, self.has.held().map(|held| &held.content));
            self.without.look(known, &content.items);
            match send(admin, &mut self.has, &content, (&mut *stamp, ledger), (known, accept)).await {
                Ok(_) => return Ok(()),
                Err(Unsent::Again) => {}
                Err(Unsent::Refused(Refusal::Refused { reasons })) if self.rejects.refuse(wanted, &content, &reasons) => {}
                Err(Unsent::Refused(refusal)) => {
                    return Err(Trouble::Problem(format!("the proxy refused the certificates: {refusal}")));
                }
                Err(Unsent::Trouble(trouble)) => return Err(trouble),
            }
        }
        Err(Trouble::Problem("the proxy's certificates change under our hands: is there another publisher?".to_owned()))
    }
}
