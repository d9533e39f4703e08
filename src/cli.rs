//! The command line: what may be said, and what it means.

mod arguments;
#[cfg(feature = "fault-injection")]
mod fault;
mod network;
mod prompts;
mod rule;
mod store;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub(crate) use self::arguments::{
    AdoptedVerb, Common, ConfigFile, ExplainArguments, Folders, ServiceVerb, ShellName,
    WorkerArguments,
};
#[cfg(feature = "fault-injection")]
pub(crate) use self::fault::FaultVerb;
pub(crate) use self::network::{NetworkArguments, NetworkVerb};
pub(crate) use self::prompts::{AnswerArguments, Lasts, PromptsVerb};
pub(crate) use self::rule::{RuleCheck, RuleVerb, WhichRule};
pub(crate) use self::store::{ImportArguments, ImportFrom, ProfileVerb, SettingVerb};
use crate::output::ColorChoice;
use crate::verbs::pause;

/// Version as shown, with a word for builds that can break themselves on purpose.
pub(crate) const VERSION: &str = if cfg!(feature = "fault-injection") {
    concat!(env!("CARGO_PKG_VERSION"), "+fault-injection")
} else {
    env!("CARGO_PKG_VERSION")
};

const EXIT_CODES: &str = "\
Exit codes:
  0  it went well; for status: PROTECTED
  1  it did not
  2  the command line is wrong
  3  status: DEGRADED
  4  status: NOT PROTECTED; every verb but run: Seawall is not running";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  seawall explain curl 9.9.9.9:443
  seawall explain snap:firefox 192.168.1.1:80
  seawall explain - 9.9.9.9:53 --protocol udp
  seawall explain /usr/sbin/sshd 192.168.1.7:22 --inbound

Exit codes:
  0  there is an answer: PERMITTED or DENIED
  1  there is none
  2  the command line is wrong, or TARGET is none
  4  Seawall is not running";

/// An application firewall that nothing knocks over.
#[derive(Debug, Parser)]
#[command(name = "seawall", version = VERSION, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// When to colour what is printed: auto (on a terminal), always, never
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        global = true,
        hide_possible_values = true
    )]
    pub(crate) color: ColorChoice,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Reads the command line; says what is wrong with it, or the help that was asked for, and ends.
pub(crate) fn parse() -> Cli {
    let color = match color_of(std::env::args_os()) {
        ColorChoice::Auto => clap::ColorChoice::Auto,
        ColorChoice::Always => clap::ColorChoice::Always,
        ColorChoice::Never => clap::ColorChoice::Never,
    };
    let matches = Cli::command().color(color).get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// What `--color` says, before anything else of the line is understood: help
/// and complaints are coloured, too.
fn color_of(line: impl IntoIterator<Item = OsString>) -> ColorChoice {
    let mut words = line.into_iter().take_while(|word| word != "--");
    let value = words.find_map(|word| match word.to_str()?.strip_prefix("--color")? {
        "" => Some(None),
        value => Some(Some(value.strip_prefix('=')?.to_owned())),
    });
    let value = match value {
        Some(None) => words.next().and_then(|word| word.into_string().ok()),
        Some(value) => value,
        None => None,
    };
    value.and_then(|value| ColorChoice::from_str(&value, false).ok()).unwrap_or_default()
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Guard this network namespace, in the foreground, until SIGTERM or SIGINT
    ///
    /// Prints `seawall: ready` as soon as packets are judged, and tells systemd
    /// (Type=notify). Needs root. One Seawall guards a network namespace.
    #[command(after_help = EXIT_CODES)]
    Run(Folders),

    /// The process that does the work; started by `run`
    #[command(hide = true)]
    Worker(WorkerArguments),

    /// The process that waits beside an upgrade; started by `run`
    #[command(hide = true)]
    Guardian,

    /// Say whether this machine is protected, and if not, why
    #[command(after_help = EXIT_CODES)]
    Status(Common),

    /// Show the supervision tree: what runs, what failed, how often
    #[command(after_help = EXIT_CODES)]
    Components(Common),

    /// Show connections with their verdict and its reason, newest first
    #[command(after_help = EXIT_CODES)]
    Connections {
        /// Most connections shown
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        #[command(flatten)]
        common: Common,
    },

    /// Show the apps on the network: their connections, what they move, and how that is known
    #[command(after_help = EXIT_CODES, visible_alias = "app")]
    Ps {
        /// Also those without an open connection
        #[arg(long, short)]
        all: bool,
        #[command(flatten)]
        common: Common,
    },

    /// Show where this machine is, or name, change or forget a network
    ///
    /// Without a verb: interfaces, gateways, and the networks of the policy, with the
    /// lines that name the present one in the policy file. What that names is locked here.
    #[command(after_help = EXIT_CODES, visible_alias = "networks")]
    Network {
        #[command(subcommand)]
        what: Option<NetworkVerb>,
        #[command(flatten)]
        common: Common,
    },

    /// Say what would become of a connection, and why, step by step
    ///
    /// The answer is that of the very function that decides connections, under
    /// the policy in force; nothing is sent. Exit code 0 means that there is an
    /// answer, be it PERMITTED or DENIED; `--json` has it in `judgement.action`.
    #[command(after_help = EXIT_CODES, after_long_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArguments),
    /// Follow apps and connections as they come and go, on the whole screen
    ///
    /// Where standard output is no terminal, one line for each connection that
    /// appears, changes its verdict or ends.
    #[command(after_help = EXIT_CODES)]
    Monitor {
        /// Lines also where there is a terminal
        #[arg(long)]
        plain: bool,
        /// Print what there is now, and end
        #[arg(long)]
        once: bool,
        #[command(flatten)]
        common: Common,
    },

    /// Show rules and what they did, add, switch or remove one, look at one, or try a whole policy
    #[command(after_help = EXIT_CODES, visible_alias = "rules")]
    Rule {
        #[command(subcommand)]
        what: RuleVerb,
        #[command(flatten)]
        common: Common,
    },

    /// Show or change settings, for all or for one app
    ///
    /// What the policy file says is locked here: it wins, and is changed there.
    #[command(after_help = EXIT_CODES, visible_alias = "settings")]
    Setting {
        #[command(subcommand)]
        what: SettingVerb,
        #[command(flatten)]
        common: Common,
    },

    /// Show or change profiles: what is said of single apps
    ///
    /// What the policy file says of an app in [[app]] counts before its profile.
    #[command(after_help = EXIT_CODES, visible_alias = "profiles")]
    Profile {
        #[command(subcommand)]
        what: ProfileVerb,
        #[command(flatten)]
        common: Common,
    },

    /// Print settings and profiles as a text that `seawall import` takes back
    ///
    /// Only what was put into the store by command; the policy file is a text already.
    #[command(after_help = EXIT_CODES)]
    Export {
        /// Only this app: the name of its profile, or the path or id that it is known by
        #[arg(long, value_name = "NAME|PATH|TAG")]
        app: Option<String>,
        #[command(flatten)]
        common: Common,
    },

    /// Show the connections that wait for your answer, and answer them
    ///
    /// Where the policy says `ask` (`default_action`, a rule `?`), a connection waits
    /// until it is answered here, or until `ask_timeout` is over and it is denied.
    /// One that was missed can still be answered: for the next attempt.
    #[command(after_help = EXIT_CODES)]
    Prompts {
        #[command(subcommand)]
        what: Option<PromptsVerb>,
        #[command(flatten)]
        common: Common,
    },

    /// Show or remove what was reachable before Seawall first started
    ///
    /// Services that listened and connections that were established then stay
    /// reachable until they are removed here.
    #[command(after_help = EXIT_CODES)]
    Adopted {
        #[command(subcommand)]
        what: Option<AdoptedVerb>,
        #[command(flatten)]
        common: Common,
    },

    /// Let everything pass for a while; afterwards the policy holds again
    ///
    /// Live connections are judged again when it ends. It outlives restarts of
    /// Seawall and of the machine, and never lasts longer than was said.
    #[command(after_help = EXIT_CODES)]
    Pause {
        /// How long: 10m, 90s, 1h30m; at most 24h
        #[arg(value_name = "TIME", value_parser = pause::length)]
        length: std::time::Duration,
        #[command(flatten)]
        common: Common,
    },

    /// End a pause now
    #[command(after_help = EXIT_CODES)]
    Resume(Common),

    /// Read the policy file again now, and wait until it is in force
    #[command(after_help = EXIT_CODES)]
    Reload(Common),

    /// Say whether a policy file is good, and if not, where and why
    ///
    /// Needs no running Seawall, and changes nothing. Exit code 0: it is good; 1: it is not.
    #[command(after_help = EXIT_CODES)]
    Check {
        #[command(flatten)]
        config: ConfigFile,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },

    /// Take settings and profiles from a text, or make such a text of what another firewall exported
    ///
    /// The text has the form of the policy file: [filter] and [[app]]. What it says of an
    /// app becomes the whole of that app's profile; whatever it doesn't name stays as it is.
    #[command(
        after_help = EXIT_CODES,
        args_conflicts_with_subcommands = true,
        subcommand_negates_reqs = true
    )]
    Import(ImportArguments),

    /// Print what a shell reads to complete our command lines
    ///
    /// For bash: seawall completions bash > /etc/bash_completion.d/seawall
    #[command(after_help = EXIT_CODES)]
    Completions {
        /// Which shell
        shell: ShellName,
        /// The words of a line as the shell has them, the program first: print what the last may become
        #[arg(last = true, hide = true)]
        words: Vec<String>,
    },

    /// Print the manual page, or write one for each verb
    #[command(after_help = EXIT_CODES)]
    Man {
        /// Write the pages into this folder, which is made if need be
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },

    /// Remove every rule and label that a Seawall left behind
    ///
    /// For a machine in lockdown after Seawall was stopped, or after a crash.
    /// Refused while a Seawall guards this network namespace.
    #[command(after_help = EXIT_CODES)]
    RemoveRules(Folders),

    /// Before the network is up: in lockdown, drop what is new until Seawall judges
    ///
    /// Installs the rules of an absent Seawall, which pass loopback, neighbour
    /// discovery and DHCP. In open mode it does nothing.
    #[command(after_help = EXIT_CODES)]
    EarlyRules(Folders),

    /// Put another Seawall in the place of the running one; no connection notices
    ///
    /// Without FILE: the one that is installed by now. The new one must judge
    /// packets within seconds, or the old one comes back. Needs root.
    #[command(after_help = EXIT_CODES)]
    Upgrade {
        /// The new program, which is installed first
        file: Option<PathBuf>,
        /// Where the keeper's socket is
        #[arg(long, value_name = "DIR", default_value = "/run/seawall")]
        run_dir: PathBuf,
    },

    /// Install, remove or look at the service of systemd
    ///
    /// For machines without the package. What is installed starts at boot,
    /// before the network. Needs root.
    #[command(after_help = EXIT_CODES)]
    Service {
        #[command(subcommand)]
        what: ServiceVerb,
        /// The root folder of an image, in place of this machine
        #[arg(long, value_name = "DIR", default_value = "/", global = true)]
        root: PathBuf,
    },

    /// Break a component on purpose
    #[cfg(feature = "fault-injection")]
    #[command(after_help = EXIT_CODES)]
    Fault {
        /// Its name, as `seawall components` shows it
        component: String,
        #[command(subcommand)]
        fault: FaultVerb,
        #[command(flatten)]
        common: Common,
    },
}

#[cfg(test)]
mod tests;
