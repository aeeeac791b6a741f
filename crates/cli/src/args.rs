//! What can be typed: global options, commands and their options.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args as Arguments, Parser, Subcommand};
use clap_complete::Shell;

use crate::endpoint::boxes::CacheAt;
use crate::failure::Failure;
use crate::listen::ListenAddress;
use crate::output::Output;
use crate::quotas::Quotas;
use crate::request::{Existing, GATEWAY_ADDRESS, MAX_MIB, MAX_TIMEOUT, MAX_VALID, Measure};

/// Encrypted links between endpoints that trust each other, over whatever network path works.
///
/// Two shells are enough to try it: `telemesh pipe` in one prints what to type in the other.
#[derive(Debug, Parser)]
#[command(name = "telemesh", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Debug, Default, Arguments)]
pub(crate) struct Global {
    /// Folder with the key and everything else that is kept [default: the platform's data folder]
    #[arg(long, global = true, env = "TELEMESH_HOME", hide_env_values = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// JSON for scripts, one object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No hints and no progress
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Log to standard error: a level like debug, or targets like telemesh_link=debug,warn
    #[arg(long, global = true, env = "TELEMESH_LOG", hide_env_values = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// Use the key of the home folder where a throw-away one would do
    #[arg(long, global = true)]
    pub(crate) as_me: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Two endpoints on this machine show what they can do; succeeds only if all of it worked
    Demo(Demo),
    /// Who we are: hashname, URI and link JSON
    Id {
        /// Also as a QR code
        #[arg(long)]
        qr: bool,
    },
    /// Run the endpoint of this home, and let other commands use it
    Up(Up),
    /// The endpoint that is up: its links, their paths and traffic
    Status,
    /// End the endpoint that is up
    Stop,
    /// Let the endpoint that is up read its configuration again
    Reload,
    /// A link that makes whoever gets it a contact
    Invite(Invite),
    /// Use an invite: link with its issuer, who becomes a contact
    Accept(Accept),
    /// Whom we trust, and with what
    Contacts(Contacts),
    /// Join standard input and output to a stream; without TO, wait for one and print an invite
    Pipe(Pipe),
    /// Measure round trips to an endpoint
    Ping(Ping),
    /// Say which paths to an endpoint were tried, which one is in use, and why not another
    Explain(Explain),
    /// Send files and folders; what was sent before an interruption is not sent again
    Send(Send),
    /// Take the files that others send into a folder
    Receive(Receive),
    /// A local port that leads to what the other end grants, or with -R a port there that leads here
    Forward(Forward),
    /// A SOCKS5 server whose connections go through the other end, and whose hosts may be contacts
    Socks(Socks),
    /// Messages for contacts that are away, and from them
    #[command(name = "box", subcommand)]
    Boxes(BoxCommand),
    /// Chat with others; without TO, go on with the chat there is, or wait for somebody
    Chat(Chat),
    /// Measure a link; without TO, answer and print an invite
    Perf(Perf),
    /// Say who is on the local network, and be found there by others
    Discover(Discover),
    /// Show what contacts serve to the browsers of this machine, at http://NAME.localhost:PORT/
    Gateway(Gateway),
    /// One request, or several, to what an endpoint serves; what comes back is on standard output
    Http(Http),
    /// Look for what can go wrong on this machine, and say what to do about it
    Doctor {
        /// The configuration file [default: telemesh.toml in the home folder]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Keep the key of the home folder elsewhere, or bring it back
    #[command(subcommand)]
    Key(KeyCommand),
    /// The configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Completions of the command line, for a shell to load
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Manual pages: the program's on standard output, or all of them in a folder
    Man {
        /// Where to write a page per command [default: standard output]
        folder: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Write the key as text that can be stored or printed on paper
    Backup(KeyBackup),
    /// Bring a key back from its backup
    Restore(KeyRestore),
}

#[derive(Debug, Arguments)]
pub(crate) struct KeyBackup {
    /// Where to write it; must not be there yet [default: standard output, unless that is a terminal]
    pub(crate) file: Option<PathBuf>,
    /// Show it on a terminal, for everybody who looks at it
    #[arg(long, conflicts_with = "file")]
    pub(crate) print: bool,
    /// Seal it with a passphrase, which is asked for
    #[arg(long)]
    pub(crate) seal: bool,
    /// Seal it with the passphrase in the first line of this file
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Arguments)]
pub(crate) struct KeyRestore {
    /// The backup, or a copy of the key file; `-` is standard input
    pub(crate) file: PathBuf,
    /// Take the place of another key, which is kept beside it
    #[arg(long)]
    pub(crate) replace: bool,
    /// The passphrase of a sealed backup is in the first line of this file [default: it is asked for]
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say all that is wrong with a configuration file, or what it means
    Check {
        /// The file [default: telemesh.toml in the home folder]
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Arguments)]
pub(crate) struct Demo {
    /// Size of the big transfers, in MiB
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=MAX_MIB))]
    pub(crate) size: u64,
}

#[derive(Debug, Arguments)]
pub(crate) struct Pipe {
    /// The other end: URI, link JSON or hashname; `@FILE` or `-` reads it from a file or from standard input
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) listen: Listen,
}

#[derive(Debug, Arguments)]
pub(crate) struct Ping {
    /// The other end: URI, link JSON or hashname; `@FILE` or `-` reads it from a file or from standard input
    pub(crate) to: String,
    /// How many
    #[arg(short = 'n', default_value_t = 4, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: u32,
    /// How long to wait for the link to come up, in seconds
    #[arg(long, default_value = "30", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Arguments)]
pub(crate) struct Up {
    /// Local address, like 0.0.0.0:42424, or quic:0.0.0.0:443 with --public; may be repeated [default: the configuration's,
    /// or all interfaces, any port]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<ListenAddress>,
    /// Be found on the local network, for two minutes, this TIME (like 90s, 10m) or forever
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "2m", value_parser = found_for)]
    pub(crate) discover: Option<telemesh::Discover>,
    /// Lead contacts with the grant `router` to each other; strangers may then learn that somebody is here
    #[arg(long)]
    pub(crate) router: bool,
    /// Let strangers learn that somebody is here, when that helps under load; listening for QUIC asks for it
    #[arg(long)]
    pub(crate) public: bool,
    /// Ask this network's gateway (PCP, NAT-PMP, UPnP) to let others in at one of its ports
    #[arg(long)]
    pub(crate) map_port: bool,
    /// Use this router from now on: a contact's name, URI (an invite too), link JSON or hashname; `@FILE` or `-` reads it; may be
    /// repeated
    #[arg(long, value_name = "TO")]
    pub(crate) via: Vec<String>,
    /// What contacts with the grant `serve` may see: a folder, or the server behind a URL like http://127.0.0.1:3000
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) serve: Option<String>,
    /// Print an invite for one contact, good for ten minutes
    #[arg(long)]
    pub(crate) invite: bool,
    /// Keep messages for others, from contacts with the grant `box`: memory, or the path of a file
    #[arg(long = "box", value_name = "memory|PATH", value_parser = CacheAt::parse)]
    pub(crate) cache: Option<CacheAt>,
    #[command(flatten)]
    pub(crate) quotas: Quotas,
    /// The configuration file [default: telemesh.toml in the home folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Arguments)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Invite {
    #[command(subcommand)]
    pub(crate) command: Option<InviteCommand>,
    /// What its bearer will be called here
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What its bearer may do besides linking, like serve or sock:10.0.0.1:22; may be repeated
    #[arg(long = "grant", value_name = "GRANT")]
    pub(crate) grants: Vec<String>,
    /// How many may use it
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: u32,
    /// How long it is good for, like 90s, 10m, 2h or 1d
    #[arg(long = "for", default_value = "10m", value_name = "TIME", value_parser = valid)]
    pub(crate) valid: Duration,
    /// A URI of one of our routers, which leads to us and tells nobody who we are; the router's name or hashname
    #[arg(long, value_name = "ROUTER")]
    pub(crate) via: Option<String>,
    /// Also as a QR code
    #[arg(long)]
    pub(crate) qr: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InviteCommand {
    /// Say which invites are open
    List,
    /// Make an open invite worthless
    Revoke {
        /// As `invite list` names it
        id: String,
    },
}

#[derive(Debug, Arguments)]
pub(crate) struct Accept {
    /// The invite's URI; `@FILE` or `-` reads it from a file or from standard input
    pub(crate) uri: String,
    /// What to call its issuer
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// How long to wait for its issuer, in seconds
    #[arg(long, default_value = "30", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Arguments)]
pub(crate) struct Contacts {
    #[command(subcommand)]
    pub(crate) command: Option<ContactsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ContactsCommand {
    /// Trust somebody, or change what they may do
    Add {
        /// What to call them
        name: String,
        /// Who it is: URI, link JSON or hashname; `@FILE` or `-` reads it from a file or from standard input
        who: String,
        /// What they may do besides linking, like serve or sock:10.0.0.1:22; may be repeated
        #[arg(long = "grant", value_name = "GRANT")]
        grants: Vec<String>,
        /// Use it as a router: it introduces us to others, and them to us
        #[arg(long)]
        router: bool,
    },
    /// Trust somebody no more; what goes on with them ends at once
    Remove {
        /// Name or hashname
        name: String,
    },
    /// Say all about one contact
    Show {
        /// Name or hashname
        name: String,
    },
}

#[derive(Debug, Arguments)]
pub(crate) struct Explain {
    /// The other end: URI, link JSON or hashname; `@FILE` or `-` reads it from a file or from standard input
    pub(crate) to: String,
    /// How long to wait for the link to come up, in seconds
    #[arg(long, default_value = "30", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Arguments)]
pub(crate) struct Discover {
    /// Also be found, for as long as this takes
    #[arg(long)]
    pub(crate) announce: bool,
    /// How long, like 90s or 10m
    #[arg(long = "for", default_value = "2m", value_name = "TIME", value_parser = valid)]
    pub(crate) time: Duration,
}

#[derive(Debug, Arguments)]
pub(crate) struct Send {
    /// The other end: a contact's name, URI, link JSON or hashname; `@FILE` or `-` reads it from a file or from standard input
    pub(crate) to: String,
    /// What to send
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Do not leave them in the box of a contact that is away
    #[arg(long)]
    pub(crate) direct: bool,
    /// How long to wait for a contact before they are left in its box, up to 40 MiB, in seconds
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) wait: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BoxCommand {
    /// Send a message; it waits here, or with a cache, until they come
    Send {
        /// A contact's name or hashname
        to: String,
        /// What to send, up to 16 MiB [default: standard input, up to 8 KiB of text]
        file: Option<PathBuf>,
        /// A contact that keeps it while they are away, and has granted us `box`; may be repeated
        #[arg(long, value_name = "CONTACT")]
        via: Vec<String>,
        /// How long to wait for somebody to take it, in seconds
        #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = seconds)]
        wait: Duration,
    },
    /// Print what has arrived; what was printed does not come again
    Read {
        /// End when nothing has come for so many seconds
        #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = seconds)]
        wait: Duration,
    },
    /// Say what waits, out and in
    List,
}

#[derive(Debug, Arguments)]
pub(crate) struct Receive {
    /// Where to, made if it is missing
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// What becomes of a file whose name is taken by something else; equal content is left as it is
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub(crate) existing: Existing,
    /// End after the first transfer that has arrived whole
    #[arg(long)]
    pub(crate) once: bool,
    /// Local UDP address, like 0.0.0.0:42424; may be repeated [default: all interfaces, any port]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<ListenAddress>,
    /// At an endpoint that is up: also print an invite, for others than its contacts
    #[arg(long)]
    pub(crate) invite: bool,
}

/// Needs a grant at the other end, like `sock:127.0.0.1:22` for `forward bob 2222 22`, or `sock-bind:127.0.0.1:8080` for
/// `forward bob 80 8080 -R`.
#[derive(Debug, Arguments)]
pub(crate) struct Forward {
    /// The other end: a contact's name, URI, link JSON or hashname; `@FILE` or `-` reads it from a file or from standard input
    pub(crate) to: String,
    /// On this side: 8080, 127.0.0.1:8080 or [::1]:8080; port 0 is any that is free
    pub(crate) local: String,
    /// On the other side: 22, 10.0.0.1:22 or host.name:22, as seen from there; a port alone is that machine's own
    pub(crate) remote: String,
    /// The other end listens at REMOTE, and what comes there goes to LOCAL
    #[arg(short = 'R', long)]
    pub(crate) reverse: bool,
    /// Datagrams instead of connections
    #[arg(long)]
    pub(crate) udp: bool,
}

/// Hosts that end in `.mesh`, as in `bob.mesh` or `HASHNAME.mesh`, are contacts, and so is a bare `bob`: their own machine at that
/// port, if they have granted it. All other hosts are reached from TO, or not at all without it.
#[derive(Debug, Arguments)]
pub(crate) struct Socks {
    /// Where all other hosts are reached from: a contact's name, URI, link JSON or hashname; `@FILE` or `-` reads it
    pub(crate) to: Option<String>,
    /// Where to listen; port 0 is any that is free
    #[arg(long, default_value = "127.0.0.1:1080", value_name = "ADDR", value_parser = address)]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Arguments)]
pub(crate) struct Chat {
    /// Who should be in it: contacts' names, URIs, link JSON or hashnames; `@FILE` or `-` reads one from a file or from standard input
    pub(crate) to: Vec<String>,
    /// Which chat: a name, or the beginning of an id; with TO, what a new one is called
    #[arg(long, value_name = "NAME")]
    pub(crate) room: Option<String>,
    /// What you are called there [default: the name of your account]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Say which chats and invitations there are
    #[arg(long, conflicts_with_all = ["to", "room", "name"])]
    pub(crate) list: bool,
    /// Lines instead of a screen, as when standard input or output is no terminal
    #[arg(long)]
    pub(crate) lines: bool,
    /// Go on after the end of standard input
    #[arg(long)]
    pub(crate) stay: bool,
    #[command(flatten)]
    pub(crate) listen: Listen,
}

#[derive(Debug, Arguments)]
pub(crate) struct Perf {
    /// The other end: URI, link JSON or hashname; `@FILE` or `-` reads it from a file or from standard input
    pub(crate) to: Option<String>,
    /// Measure only this
    #[arg(long, value_name = "WHAT")]
    pub(crate) only: Option<Measure>,
    /// How much to transfer each way, in MiB
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=MAX_MIB))]
    pub(crate) size: u64,
    #[command(flatten)]
    pub(crate) listen: Listen,
}

#[derive(Debug, Arguments)]
pub(crate) struct Gateway {
    /// Local TCP address. Whoever can connect to another one than loopback has only the token against them
    #[arg(long, value_name = "ADDR", default_value_t = GATEWAY_ADDRESS, value_parser = address)]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Arguments)]
pub(crate) struct Http {
    /// The other end: a contact's name, URI, link JSON or hashname; `@FILE` or `-` reads it
    pub(crate) to: String,
    /// Paths, like /notes?all
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// The method [default: GET, or POST with -d]
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub(crate) request: Option<String>,
    /// A header, like 'accept: text/plain'; may be repeated
    #[arg(short = 'H', long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,
    /// The request's body: text, @FILE, or @- for standard input
    #[arg(short = 'd', long, value_name = "BODY")]
    pub(crate) data: Option<String>,
    /// Also print the response's head
    #[arg(short = 'i', long)]
    pub(crate) include: bool,
    /// Print nothing and fail if a status is 400 or more
    #[arg(short = 'f', long)]
    pub(crate) fail: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct Listen {
    /// Local UDP address, like 0.0.0.0:42424; may be repeated [default: all interfaces, any port]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<ListenAddress>,
    /// Without TO, at an endpoint that is up: also print an invite, for others than its contacts
    #[arg(long, conflicts_with = "to")]
    pub(crate) invite: bool,
}

/// Reads the command line. What clap has to say itself (help, the version, a usage error) is said here.
pub(crate) fn parse() -> Result<Args, ExitCode> {
    Args::try_parse().map_err(|error| {
        let shown = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        if !shown && std::env::args_os().any(|argument| argument == "--json") {
            let global = Global { json: true, ..Global::default() };
            return Output::new(&global).fail(&Failure::Usage(one_line(&error)));
        }
        // Nothing can be done if even this cannot be printed.
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}

/// What clap says first, without its advice and the word in front.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.trim_start_matches("error: ").to_owned()
}

/// A number of seconds, with fractions.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() && time <= MAX_TIMEOUT => Ok(time),
        _ => Err(format!("more than 0 and at most {} seconds", MAX_TIMEOUT.as_secs())),
    }
}

/// How long an invite is good for.
fn valid(text: &str) -> Result<Duration, String> {
    match crate::config::duration(text) {
        Ok(time) if time.is_zero() || time > MAX_VALID => {
            Err("more than nothing and at most 366d".to_owned())
        }
        time => time,
    }
}

/// How long to be found.
fn found_for(text: &str) -> Result<telemesh::Discover, String> {
    crate::config::discover(text)
}

/// A local address for connections.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "an IP address and a port are needed, like 127.0.0.1:1080 or [::1]:1080".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn seconds_are_positive_and_finite() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for bad in ["0", "-1", "nan", "inf", "1e9", "", "5s"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn global_options_stand_before_or_behind_the_command() {
        for line in ["telemesh --json --quiet id", "telemesh id --json -q"] {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            assert!(args.global.json && args.global.quiet && !args.global.as_me, "{line}");
        }
    }
}
