//! The command line: what can be asked for, and the one place that answers with an exit code.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use karman_contract::name::AppId;

use crate::failure::{Exit, Failure};
use crate::publish::outcome::counted;
use crate::publish::target::Target;
use crate::{publish, sealing, store, up, verbs};

mod apps;
mod dns;
mod drain;
mod edge;
mod secrets;
mod top;

use apps::Apps;

/// The store of `karman up`, where nobody names one.
const STORE: &str = "data";

/// The control plane of Karman: the store, the controllers and the operators' verbs
#[derive(Parser)]
#[command(name = "karman", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything on this machine: proxy, controllers, a directory store and the sample app
    Up(up::Up),
    /// Put the proxy before an app that already runs, with no file at all
    Try(up::Try),
    /// Keep a proxy at what the store says
    Publish(Publish),
    /// Show the proxy, the publisher, and what is wrong
    Status(Verb),
    /// List the apps that the proxy serves, or change them in the store
    Apps(Box<Apps>),
    /// Show one app: what is live, or with --effective where each value comes from
    App(App),
    /// Show which apps make the load of the edge, as it changes
    Top(top::Top),
    /// Close an app for maintenance, or open it again
    Maintenance(Maintenance),
    /// Let an instance become empty, at the pace at which the others take its clients
    Drain(drain::Drain),
    /// Drain an edge or a region, call it back, show how far it is, and forget one that is gone for good
    #[command(subcommand)]
    Edge(edge::Edge),
    /// Keep a network from one app or from all
    Block(Block),
    /// Let a network in again
    Unblock(Unblock),
    /// List the networks that are kept out
    Blocks(Verb),
    /// Write the whole store into one file; keys stay encrypted
    Backup(FileVerb),
    /// Fill an empty store from a backup
    Restore(FileVerb),
    /// Show and make the DNS records that lead clients to the regions
    #[command(subcommand)]
    Dns(dns::Dns),
    /// Show what happened at the edge
    Events(Events),
    /// Order and renew the certificates of all hosts; with a verb, look at them or bring some along
    Certificates(secrets::Certificates),
    /// Make and rotate the keys of cookies and TLS tickets; with a verb, look at them or replace one
    Keys(secrets::Keys),
    /// Show what changes in the store and what happens at the edge, as it happens
    Watch(Verb),
    /// Become another program that ends when the one that started it does
    #[command(hide = true)]
    Child(up::child::Child),
}

/// Where the store and the proxy are.
#[derive(Args)]
struct Place {
    /// The store: a directory, or etcd://host:port[,host:port][/prefix] [default: KARMAN_STORE, else data]
    #[arg(long, value_name = "DIR|URL")]
    store: Option<store::Place>,

    /// The proxy's admin socket [default: KARMAN_SOCKET, else run/admin.sock in the store or here]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

#[derive(Args)]
struct Publish {
    #[command(flatten)]
    place: Place,

    /// An edge instead of --socket: a socket's path, or ssh://[user@]host[:port]/path/of/admin.sock; may be repeated
    #[arg(long, value_name = "EDGE", conflicts_with = "socket")]
    edge: Vec<Target>,

    /// What a single edge is called in the store's status [default: the host's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// The file with the key that secrets are sealed with [default: KARMAN_KEY_FILE, else store.key in the store's directory or here]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// Say that a mass removal is meant, or that this store is right although the proxy is ahead of it
    #[arg(long)]
    accept: bool,

    /// Bring the proxy up to date and end
    #[arg(long)]
    once: bool,

    /// Only read the store and say everything that is wrong with it
    #[arg(long, conflicts_with_all = ["accept", "once"])]
    check: bool,
}

#[derive(Args)]
struct Verb {
    #[command(flatten)]
    place: Place,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Block {
    /// A network such as 203.0.113.0/24, or an address
    #[arg(value_parser = verbs::block::parse_net)]
    net: ipnet::IpNet,

    /// Only from this app
    #[arg(long, value_name = "ID")]
    app: Option<AppId>,

    /// For how long: 1h, 30m, or until 2026-12-01T18:00:00Z
    #[arg(long = "for", value_name = "TIME", value_parser = verbs::maintenance::parse_until)]
    until: Option<jiff::Timestamp>,

    /// Why, for colleagues
    #[arg(long, value_name = "TEXT")]
    why: String,

    #[command(flatten)]
    verb: Verb,
}

#[derive(Args)]
struct Unblock {
    /// The network, as it was blocked
    #[arg(value_parser = verbs::block::parse_net)]
    net: ipnet::IpNet,

    /// The app that it was kept from
    #[arg(long, value_name = "ID")]
    app: Option<AppId>,

    /// Why, for colleagues
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,

    #[command(flatten)]
    verb: Verb,
}

#[derive(Args)]
struct FileVerb {
    file: PathBuf,

    #[command(flatten)]
    verb: Verb,
}

#[derive(Args)]
struct App {
    /// The app's id
    id: AppId,

    /// Show every value that the store gives the app, with the file and line that it comes from
    #[arg(long)]
    effective: bool,

    #[command(flatten)]
    verb: Verb,
}

#[derive(Args)]
struct Maintenance {
    /// The app's id
    id: AppId,

    #[arg(value_name = "on|off", value_parser = clap::builder::PossibleValuesParser::new(["on", "off"]))]
    switch: String,

    /// When it ends by itself: 2026-12-01T18:00:00Z, or from now on 30m, 2h
    #[arg(long, value_name = "TIME", value_parser = verbs::maintenance::parse_until)]
    until: Option<jiff::Timestamp>,

    /// Why, in words that visitors and colleagues may read
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,

    #[command(flatten)]
    verb: Verb,
}

#[derive(Args)]
struct Events {
    /// Go on showing what happens
    #[arg(long)]
    follow: bool,

    /// Only what came after this event
    #[arg(long, value_name = "ID")]
    since: Option<u64>,

    #[command(flatten)]
    verb: Verb,
}

pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help that was asked for is an error to clap, and none to us.
            let code = if error.use_stderr() { ExitCode::from(Exit::Usage as u8) } else { ExitCode::SUCCESS };
            let _ = error.print();
            return code;
        }
    };
    tracing_subscriber::fmt().with_writer(io::stderr).with_target(false).with_ansi(false).init();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("karman: {failure}");
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Each command has a runtime of one thread: none of them computes for long, and a child process
/// that is to end with us hangs on the thread that started it.
#[tokio::main(flavor = "current_thread")]
async fn run(command: Command) -> Result<(), Failure> {
    let ran = carry_out(command).await;
    store::etcd::lease::given_back().await;
    ran
}

async fn carry_out(command: Command) -> Result<(), Failure> {
    match command {
        Command::Up(options) => up::up(options).await,
        Command::Try(options) => up::try_app(options).await,
        Command::Publish(Publish { place, check: true, .. }) => {
            let apps = counted(publish::check(&place.store()?).await?, "app");
            verbs::print(&format!("{apps}, no mistake\n"))
        }
        Command::Publish(publish) => publish::run(&publish.ready()?).await,
        Command::Status(verb) => verbs::status::run(&verb.ready()?).await,
        Command::Apps(apps) => apps.run().await,
        Command::Block(Block { net, app, until, why, verb }) => verbs::block::block(net, app, until, why, &verb.ready()?).await,
        Command::Unblock(Unblock { net, app, why, verb }) => verbs::block::unblock(net, app, why, &verb.ready()?).await,
        Command::Blocks(verb) => verbs::block::list(&verb.ready()?).await,
        Command::Backup(FileVerb { file, verb }) => verbs::backup::backup(&file, &verb.ready()?).await,
        Command::Restore(FileVerb { file, verb }) => verbs::backup::restore(&file, &verb.ready()?).await,
        Command::Watch(verb) => verbs::watch::run(&verb.ready()?).await,
        Command::App(App { id, effective: true, verb }) => verbs::effective::run(&id, &verb.ready()?).await,
        Command::App(App { id, verb, .. }) => verbs::app::run(&id, &verb.ready()?).await,
        Command::Top(verb) => verb.run().await,
        Command::Maintenance(Maintenance { id, switch, until, why, verb }) => match switch.as_str() {
            "on" => verbs::maintenance::on(&id, until, why, &verb.ready()?).await,
            _ => verbs::maintenance::off(&id, &verb.ready()?).await,
        },
        Command::Drain(verb) => verb.run().await,
        Command::Edge(verb) => verb.run().await,
        Command::Dns(verb) => verb.run().await,
        Command::Events(Events { follow, since, verb }) => verbs::events::run(follow, since, &verb.ready()?).await,
        Command::Certificates(certificates) => certificates.run().await,
        Command::Keys(keys) => keys.run().await,
        Command::Child(child) => Err(child.become_it()),
    }
}

impl Verb {
    fn ready(self) -> Result<verbs::Asked, Failure> {
        Ok(verbs::Asked::new(self.place.socket(), self.place.store()?, self.json))
    }
}

impl Publish {
    fn ready(self) -> Result<publish::Options, Failure> {
        let Self { place, edge, name, accept, once, key_file, .. } = self;
        let targets = if edge.is_empty() { vec![Target::Socket(place.socket())] } else { edge };
        if name.is_some() && targets.len() > 1 {
            return Err(Failure::usage("--name is for one edge: of several each is called by its host"));
        }
        let store = place.store()?;
        let key_file = sealing::key_file(key_file, &store);
        Ok(publish::Options { store, targets, name, accept, once, key_file })
    }
}

impl Place {
    fn store(&self) -> Result<store::Place, Failure> {
        store_of(self.store.clone())
    }

    fn socket(&self) -> PathBuf {
        let named = self.socket.clone().or_else(|| std::env::var_os("KARMAN_SOCKET").map(PathBuf::from));
        named.unwrap_or_else(|| {
            // Where `karman up` puts it, else where a proxy has it that was started by hand.
            let store = match self.store() {
                Ok(store::Place::Directory(path)) => path,
                _ => PathBuf::from(STORE),
            };
            let of_up = store.join("run/admin.sock");
            if of_up.exists() { of_up } else { Path::new("run/admin.sock").to_owned() }
        })
    }
}

/// The store that is named, else the one of `KARMAN_STORE`, else that of `karman up`.
fn store_of(named: Option<store::Place>) -> Result<store::Place, Failure> {
    match (named, std::env::var("KARMAN_STORE")) {
        (Some(place), _) => Ok(place),
        (None, Ok(text)) => text.parse().map_err(|error| Failure::usage(format!("KARMAN_STORE: {error}"))),
        (None, Err(_)) => Ok(store::Place::Directory(PathBuf::from(STORE))),
    }
}
