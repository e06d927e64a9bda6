//! The commands that work on what is secret in a store: certificates and keys.

use std::path::PathBuf;

use clap::Args;

use crate::certificates::verbs::Asked;
use crate::failure::Failure;
use crate::sealing::{self, Sealing};
use crate::signals::until_stopped;
use crate::{certificates, keys, store};

/// A store with secrets in it, and where they are opened.
#[derive(Args)]
struct Secrets {
    /// The store: a directory, or etcd://host:port[,host:port][/prefix] [default: KARMAN_STORE, else data]
    #[arg(long, global = true, value_name = "DIR|URL")]
    store: Option<store::Place>,

    /// The file with the key that secrets are sealed with [default: KARMAN_KEY_FILE, else store.key in the store's directory or here]
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Certificates {
    #[command(flatten)]
    secrets: Secrets,

    #[command(subcommand)]
    verb: Option<certificates::verbs::Verb>,
}

#[derive(Args)]
pub(super) struct Keys {
    #[command(flatten)]
    secrets: Secrets,

    #[command(subcommand)]
    verb: Option<keys::verbs::Verb>,
}

impl Certificates {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let asked = self.secrets.asked();
        match self.verb {
            Some(verb) => verb.run(&asked.await?).await,
            None => {
                let work = async {
                    let asked = asked.await?;
                    let sealing = Sealing::of(asked.store.as_ref(), &asked.key_file).await?;
                    certificates::controller::run(asked.store, sealing).await
                };
                until_stopped(work).await
            }
        }
    }
}

impl Keys {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let asked = self.secrets.asked();
        match self.verb {
            Some(verb) => verb.run(&asked.await?).await,
            None => {
                let work = async {
                    let asked = asked.await?;
                    let sealing = Sealing::of(asked.store.as_ref(), &asked.key_file).await?;
                    keys::controller::run(asked.store, sealing).await
                };
                until_stopped(work).await
            }
        }
    }
}

impl Secrets {
    async fn asked(self) -> Result<Asked, Failure> {
        let place = super::store_of(self.store)?;
        let key_file = sealing::key_file(self.key_file, &place);
        Ok(Asked { store: place.open().await?, key_file, json: self.json })
    }
}
