//! `karman apps`: without a word more it lists them; with one it changes them in the store.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use karman_contract::name::AppId;

use super::Verb;
use crate::failure::Failure;
use crate::publish::target::Target;
use crate::verbs::{self, change, compare};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Apps {
    #[command(subcommand)]
    change: Option<Change>,

    #[command(flatten)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Change {
    /// Write an app from a file; every mistake is named and nothing written if there is one
    Put {
        /// The file; its name is the app's id. '-' reads what comes in
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,

        /// The app's id, where the file is not named by it
        #[arg(long, value_name = "ID")]
        id: Option<AppId>,

        /// Only show what would change
        #[arg(long)]
        dry_run: bool,

        #[command(flatten)]
        said: Said,
    },
    /// Change an app in $EDITOR
    Edit {
        id: AppId,

        #[command(flatten)]
        said: Said,
    },
    /// Remove an app
    Rm {
        id: AppId,

        #[command(flatten)]
        said: Said,
    },
    /// Show who changed an app, when and why
    History {
        id: AppId,

        #[command(flatten)]
        verb: Verb,
    },
    /// Go back to a change of the history
    Rollback {
        id: AppId,

        /// The number of the change, as 'history' shows it
        #[arg(value_name = "CHANGE")]
        number: u64,

        #[command(flatten)]
        said: Said,
    },
    /// Show the lines in which versions of an app differ
    Diff {
        id: AppId,

        /// A change of the history [default: what stands there now]
        from: Option<u64>,

        /// Another one [default: what stands there now]
        to: Option<u64>,

        /// A file instead of another change
        #[arg(short, long, value_name = "FILE", conflicts_with = "to")]
        file: Option<PathBuf>,

        #[command(flatten)]
        verb: Verb,
    },
    /// Ask two edges for every host, and list where they differ
    Compare {
        /// A socket's path, or ssh://[user@]host[:port]/path/of/admin.sock
        old: Target,

        new: Target,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What goes with every change.
#[derive(Args)]
struct Said {
    /// Why, for colleagues
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,

    #[command(flatten)]
    verb: Verb,
}

impl Apps {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.change {
            None => verbs::apps::run(&self.verb.ready()?).await,
            Some(Change::Put { file, id, dry_run, said }) => change::put(&file, id, dry_run, said.why, &said.verb.ready()?).await,
            Some(Change::Edit { id, said }) => change::edit(&id, said.why, &said.verb.ready()?).await,
            Some(Change::Rm { id, said }) => change::remove(&id, said.why, &said.verb.ready()?).await,
            Some(Change::History { id, verb }) => change::history(&id, &verb.ready()?).await,
            Some(Change::Rollback { id, number, said }) => change::rollback(&id, number, said.why, &said.verb.ready()?).await,
            Some(Change::Diff { id, from, to, file, verb }) => change::diff(&id, from, to, file, &verb.ready()?).await,
            Some(Change::Compare { old, new, json }) => compare::run(&old, &new, json).await,
        }
    }
}
