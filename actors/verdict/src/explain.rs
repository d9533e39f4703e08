//! What would become of a connection, with each step of the decision and what it
//! saw. The verdict and the steps taken are those of [`decide`](crate::decide())
//! itself; only their wording is from here.

use std::sync::Arc;

use seawall_messages::explain::{Described, Explanation, Known, Step, StepOutcome, StepTaken};
use seawall_messages::policy::{AdoptedEntry, AppPolicy, DefaultAction, Fingerprint};
use seawall_messages::process::{Attribution, Method, Process};
use seawall_messages::rule::{Match, Permission, Rule, Rules, User};
use seawall_messages::{Direction, Flow, Judgement, Layer, Reach, Reason, Scope, Snapshot, Whose};

use crate::decide::{Case, Decision, Seen, SettingOf, spares_loopback, traced};

/// Most sections or profiles that are named in a note.
const MOST_NAMED: usize = 10;

/// For rules by user.
const UNKNOWN_USER: &str = "whose the connection would be isn't known: rules by user deny in doubt and permit nothing; ask about a process that runs, by its id";

/// For `use_parent`.
const UNKNOWN_PARENT: &str = "which program would start it isn't known, so nothing counts that is said of one: ask about a process that runs, by its id";

/// For rules by interface.
const UNKNOWN_INTERFACE: &str =
    "no interface leads there now: rules by interface deny in doubt and permit nothing";

/// Explains the connection of somebody.
pub(crate) fn explain(
    snapshot: &Snapshot,
    flow: &Flow,
    whose: &Described,
    interface: Option<u32>,
) -> Explanation {
    let attribution = attribution(whose);
    let layers = snapshot.layers_of(&attribution);
    let seen = Seen { uid: uid(whose), interface };
    let case = Case::new(snapshot, flow, layers).with(seen);
    let mut taken = Vec::with_capacity(Step::ALL.len());
    let decision = traced(&case, |step, said| taken.push((step, said)));
    let asks = matches!(decision, Decision::Ask(_));
    let judgement = decision.judgement();
    let steps = (taken.iter().map(|(step, said)| reached(&case, *step, *said, &judgement)))
        .chain(Step::ALL.iter().skip(taken.len()).map(|step| not_reached(*step)))
        .collect();
    let mut notes = whose.notes.clone();
    notes.extend(might_fit(&snapshot.apps, "[[app]]", layers.section, whose));
    notes.extend(might_fit(&snapshot.profiles, "the profile", layers.profile, whose));
    if whose.known != Known::Process && layers.uses_parent() {
        notes.push(UNKNOWN_PARENT.to_owned());
    }
    if case.user == User::Unknown && snapshot.lists().any(Rules::looks_at_users) {
        notes.push(UNKNOWN_USER.to_owned());
    }
    if interface.is_none() && snapshot.looks_at_interfaces() {
        notes.push(UNKNOWN_INTERFACE.to_owned());
    }
    if judgement.reach == Reach::Flow && !asks && flow.initiator != flow.responder {
        notes.push(
            "from DHCP's own port, or that of a session that was adopted, it passes".to_owned(),
        );
    }
    Explanation {
        flow: *flow,
        app: attribution.app(),
        process: whose.process.clone(),
        known: whose.known,
        section: layers.section.map(|section| Arc::clone(&section.name)),
        profile: layers.profile.map(|profile| Arc::clone(&profile.name)),
        parent_section: layers.parent_section.map(|section| Arc::clone(&section.name)),
        parent_profile: layers.parent_profile.map(|profile| Arc::clone(&profile.name)),
        network: snapshot.network().map(|network| Arc::clone(&network.name)),
        judgement,
        asks,
        steps,
        notes,
    }
}

/// As if `process` had said whose it is.
fn attribution(whose: &Described) -> Attribution {
    match &whose.process {
        Some(process) => {
            Attribution { method: Method::OpenFiles, process: Some(Arc::clone(process)) }
        }
        None => Attribution::unidentified(),
    }
}

/// The user, where it is known which process it is.
fn uid(whose: &Described) -> Option<u32> {
    let process = whose.process.as_ref().filter(|_| whose.known == Known::Process)?;
    Some(process.uid)
}

fn not_reached(step: Step) -> StepTaken {
    StepTaken { step, outcome: StepOutcome::NotReached, saw: String::new() }
}

fn reached(
    case: &Case<'_>,
    step: Step,
    said: Option<Permission>,
    judgement: &Judgement,
) -> StepTaken {
    let (outcome, saw) = match said {
        Some(Permission::Permit) => (StepOutcome::Permits, decided(case, &judgement.reason)),
        Some(Permission::Deny) => (StepOutcome::Denies, decided(case, &judgement.reason)),
        Some(Permission::Ask) => (StepOutcome::Asks, decided(case, &judgement.reason)),
        None => (StepOutcome::Passes, why_not(case, step)),
    };
    StepTaken { step, outcome, saw }
}

/// The reason, with the rule and whose it is.
fn decided(case: &Case<'_>, reason: &Reason) -> String {
    if let (Layer::BuiltIn, Some((position, rule)), Some(name)) =
        (reason.layer, &reason.rule, &reason.app)
    {
        return format!("built-in profile for {name}: rule {position}, `{rule}`");
    }
    let (app, network) = (reason.app.as_ref(), reason.network.as_ref());
    let of = SettingOf { app, whose: reason.whose, network };
    let of = said_where(case, of);
    match &reason.rule {
        Some((position, rule)) => format!("{}: rule {position} {of}, `{rule}`", reason.text),
        None if reason.app.is_some() || reason.network.is_some() => {
            format!("{}, {of}", reason.text)
        }
        None => reason.text.to_string(),
    }
}

/// In which layer something is said, by the name that a reason has from there.
fn said_where(case: &Case<'_>, of: SettingOf<'_>) -> String {
    let is_of = |layer: Option<&AppPolicy>, name: &Arc<str>| {
        layer.is_some_and(|layer| Arc::ptr_eq(&layer.name, name))
    };
    let (profile, started_it) = match of.whose {
        Whose::Own => (case.app.profile, ""),
        Whose::Parent => (case.app.parent_profile, ", which started it"),
    };
    match of {
        SettingOf { app: Some(name), .. } if is_of(profile, name) => {
            format!("in the profile \"{name}\"{started_it}")
        }
        SettingOf { app: Some(name), .. } => format!("in [[app]] \"{name}\"{started_it}"),
        SettingOf { network: Some(name), .. } => format!("in [[network]] \"{name}\""),
        SettingOf { app: None, network: None, .. } => "in [filter]".to_owned(),
    }
}

/// Why a step said nothing.
fn why_not(case: &Case<'_>, step: Step) -> String {
    match step {
        Step::AlwaysPasses => {
            "it is neither address renewal nor neighbour or multicast housekeeping".to_owned()
        }
        Step::AdoptedSession => {
            none_of(case, "session", |what| matches!(what, AdoptedEntry::Session { .. }))
        }
        Step::Paused => "Seawall is not paused".to_owned(),
        Step::BlockInbound | Step::BlockInternet | Step::BlockLan | Step::BlockLocal => {
            why_no_block(case, step)
        }
        Step::AppRules | Step::Rules => why_no_rule(case, step),
        Step::InvalidAddress => format!("{} is a good address", case.flow.remote()),
        Step::Loopback => "this machine doesn't talk to itself".to_owned(),
        Step::AdoptedListener if case.flow.direction != Direction::Inbound => {
            not_direction(case.flow)
        }
        Step::AdoptedListener => {
            none_of(case, "service", |what| matches!(what, AdoptedEntry::Listener { .. }))
        }
        Step::BuiltInProfiles => why_no_built_in(case),
        // It always speaks.
        Step::DefaultAction => String::new(),
    }
}

fn why_no_built_in(case: &Case<'_>) -> String {
    let snapshot = case.snapshot;
    let (action, of) = case.setting(|app| app.default_action, |all| all.default_action);
    let name = case.app.built_in.map(|app| &app.name);
    match name {
        _ if snapshot.built_in.is_empty() => "they are switched off".to_owned(),
        _ if case.app.iter().next().is_some() => "something is said of the app itself".to_owned(),
        None => "none is for it".to_owned(),
        _ if case.flow.direction != Direction::Outbound => not_direction(case.flow),
        _ if action == DefaultAction::Permit => "default_action permits".to_owned(),
        Some(_) if of.network.is_some() => {
            format!("default_action is said {}", said_where(case, of))
        }
        Some(name) => format!("that for {name} doesn't permit it"),
    }
}

fn not_direction(flow: &Flow) -> String {
    format!("the connection is {}", flow.direction.as_str())
}

fn none_of(case: &Case<'_>, what: &str, kind: impl Fn(&AdoptedEntry) -> bool) -> String {
    match case.snapshot.adopted.iter().filter(|adopted| kind(&adopted.what)).count() {
        0 => format!("no {what} is adopted"),
        1 => format!("it is not the {what} that is adopted"),
        count => format!("it is none of the {count} {what}s that are adopted"),
    }
}

fn why_no_block(case: &Case<'_>, step: Step) -> String {
    let flow = case.flow;
    let scope = scope(flow);
    if case.is_loopback && step != Step::BlockLocal {
        return format!("{} is this machine", flow.remote());
    }
    let (is_meant, otherwise) = match step {
        Step::BlockInbound => (flow.direction == Direction::Inbound, not_direction(flow)),
        Step::BlockInternet => (case.is_internet(), scope),
        Step::BlockLan => (Scope::of(flow.remote()).is_lan(), scope),
        _ => (case.is_loopback, scope),
    };
    if !is_meant {
        return otherwise;
    }
    let of = match step {
        Step::BlockInbound => case.setting(|app| app.block_inbound, |all| all.block_inbound).1,
        Step::BlockInternet => case.setting(|app| app.block_internet, |all| all.block_internet).1,
        Step::BlockLan => case.setting(|app| app.block_lan, |all| all.block_lan).1,
        _ => case.setting(|app| app.block_local, |all| all.block_local).1,
    };
    format!("{} = false {}", step.title(), said_where(case, of))
}

/// How far away the other end is.
fn scope(flow: &Flow) -> String {
    let remote = flow.remote();
    let scope = Scope::of(remote);
    let word = match () {
        () if scope.is_localhost() => "this machine",
        () if scope.is_lan() => "in the LAN",
        () if scope.is_internet() => "in the Internet",
        () => "an address that nobody may talk to",
    };
    format!("{remote} is {word}")
}

fn why_no_rule(case: &Case<'_>, step: Step) -> String {
    let all = &case.snapshot.filter;
    if step != Step::AppRules {
        let lists = (&all.incoming_rules, &all.outgoing_rules);
        return why_not_of(case, lists, SettingOf::default());
    }
    let of_apps = case.app.iter().map(|(whose, AppPolicy { name, filter, .. })| {
        let of = SettingOf { app: Some(name), whose, network: None };
        why_not_of(case, (&filter.incoming_rules, &filter.outgoing_rules), of)
    });
    let said: Vec<String> = of_apps.collect();
    if said.is_empty() { no_section(case.snapshot) } else { said.join("; ") }
}

fn why_not_of(
    case: &Case<'_>,
    (incoming, outgoing): (&Rules, &Rules),
    of: SettingOf<'_>,
) -> String {
    let of = said_where(case, of);
    let (rules, key) = match case.flow.direction {
        Direction::Inbound => (incoming, "incoming_rules"),
        Direction::Outbound | Direction::Forwarded => (outgoing, "outgoing_rules"),
    };
    let subject = case.subject();
    let is_spared = |rule: &&Rule| spares_loopback(rule, case) && rule.matches(&subject);
    let why = match (rules.len(), rules.iter().find(is_spared)) {
        (0, _) => format!("there are no {key} {of}"),
        (_, Some(rule)) => format!("no {key} {of} match; `{}` spares loopback", rule.text),
        (1, None) => format!("the rule of {key} {of} doesn't match"),
        (count, None) => format!("none of the {count} {key} {of} matches"),
    };
    let lacking = rules.iter().find_map(|rule| match rule.judge(&subject) {
        Match::Lacks(data) => Some((rule, data)),
        Match::Yes | Match::No => None,
    });
    let would_match = |rule: &&Rule| {
        !rule.is_active && Rule { is_active: true, ..(*rule).clone() }.matches(&subject)
    };
    match lacking {
        None => match rules.iter().find(would_match) {
            Some(rule) => format!("{why}; `{}` doesn't count: {}", rule.text, rule.why_not()),
            None => why,
        },
        Some((rule, data)) => {
            format!("{why}; `{}` decides nothing: it needs {}", rule.text, data.missing())
        }
    }
}

fn no_section(snapshot: &Snapshot) -> String {
    let sections = match snapshot.apps.len() {
        0 => "there is no [[app]]".to_owned(),
        1 => "the only [[app]] doesn't fit".to_owned(),
        count => format!("none of the {count} [[app]] sections fits"),
    };
    match snapshot.profiles.len() {
        0 => sections,
        _ => format!("{sections}; no profile that says something does, either"),
    }
}

/// Sections or profiles ahead of the one that fits, of which it isn't known whether they do.
fn might_fit(
    apps: &[AppPolicy],
    what: &str,
    found: Option<&AppPolicy>,
    whose: &Described,
) -> Option<String> {
    let process = whose.process.as_ref()?;
    let is_found = |app: &&AppPolicy| found.is_some_and(|found| std::ptr::eq(found, *app));
    let ahead = apps.iter().take_while(|app| !is_found(app));
    let names: Vec<_> = ahead
        .filter(|app| fits_as_far_as_known(&app.fingerprint, process, whose.known))
        .take(MOST_NAMED)
        .map(|app| format!("\"{}\"", app.name))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "{what} {} may fit, too, and would count; that depends on the process: ask about one that runs, by its id",
            names.join(", ")
        )
    })
}

/// Whether a fingerprint fits but for what isn't known.
fn fits_as_far_as_known(fingerprint: &Fingerprint, process: &Process, known: Known) -> bool {
    let mut rest = fingerprint.clone();
    match known {
        Known::Process | Known::Nothing => return false,
        Known::File => {}
        Known::App => {
            rest.path = None;
            rest.sha256 = None;
        }
    }
    rest.command_line = None;
    rest.parent = None;
    rest.cgroup = None;
    rest != *fingerprint && (rest.is_empty() || rest.fits(process))
}
