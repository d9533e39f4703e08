//! The composition root: declares every component of the [`manifest`], and
//! gives each what it works with. Nothing is found by a global name.

mod descriptions;
mod manifest;
mod running;
mod survey;
#[cfg(test)]
mod tests;

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use seawall_api::{Api, Listeners, Services};
use seawall_datapath::{
    Controller, ControllerArguments, Hits, NewQueue, NewQueueArguments, Orientation, ParkedCount,
    RestQueue, RestQueueArguments, Standing, Suspects,
};
use seawall_messages::datapath::{NewQueueMessage, RestQueueMessage};
use seawall_messages::keeper::KeeperFacts;
use seawall_messages::network::Surroundings;
use seawall_messages::process::Owners;
use seawall_messages::prompt::Answers;
use seawall_messages::{Snapshot, datapath, keeper, network, policy, process, prompt, verdict};
use seawall_network::{Network, Rtnetlink};
use seawall_platform::linux::layout::Epoch;
use seawall_platform::linux::link::Link;
use seawall_platform::linux::wake::EventWake;
use seawall_policy::{Policy, Store, store};
use seawall_process::{Processes, Regulars, TableOwners};
use seawall_prompt::Prompts;
use seawall_runtime::{Address, Lender, Published, TreeBuilder};
use seawall_verdict::Verdict;

use self::running::RunningProcesses;
use self::survey::SocketSurvey;
use crate::cli::{VERSION, WorkerArguments};
use crate::settings;
use crate::worker::{Finish, Handover, KeeperLink, KeeperLinkArguments, Notes, WorkerError};

/// What the tree is made from.
pub(crate) struct Parts<'a> {
    /// The command line.
    pub(crate) arguments: &'a WorkerArguments,
    /// When this worker started.
    pub(crate) started: Instant,
    /// The link to the keeper.
    pub(crate) link: Link,
    /// What the keeper handed over.
    pub(crate) handover: Handover,
    /// What the kernel notes of connections' owners.
    pub(crate) notes: Notes,
    /// What the API listens on.
    pub(crate) listeners: Listeners,
    /// Ends the worker.
    pub(crate) finish: SyncSender<Finish>,
}

/// Every address, and what wakes the threads among them.
struct Addresses {
    keeper: (Address<keeper::Message>, Arc<EventWake>),
    network: Address<network::Message>,
    policy: Address<policy::Message>,
    process: Address<process::Message>,
    prompt: Address<prompt::Message>,
    verdict: Address<verdict::Message>,
    new: (Address<NewQueueMessage>, Arc<EventWake>),
    rest: (Address<RestQueueMessage>, Arc<EventWake>),
    datapath: Address<datapath::Message>,
    api: Address<seawall_api::Message>,
}

/// Declares the components in the order of the manifest.
fn declare(tree: &mut TreeBuilder) -> std::io::Result<Addresses> {
    for group in manifest::GROUPS {
        tree.group(group.name, None, group.strategy, group.intensity);
    }
    let wake = || EventWake::new().map(Arc::new);
    let (keeper, new, rest) = (wake()?, wake()?, wake()?);
    Ok(Addresses {
        keeper: (tree.declare_thread(manifest::KEEPER, keeper.clone()), keeper),
        network: tree.declare(manifest::NETWORK),
        policy: tree.declare(manifest::POLICY),
        process: tree.declare(manifest::PROCESS),
        prompt: tree.declare(manifest::PROMPT),
        verdict: tree.declare(manifest::VERDICT),
        new: (tree.declare_thread(manifest::DATAPATH_NEW, new.clone()), new),
        rest: (tree.declare_thread(manifest::DATAPATH_REST, rest.clone()), rest),
        datapath: tree.declare(manifest::DATAPATH),
        api: tree.declare(manifest::API),
    })
}

/// The whole tree, ready to be started. `give_up` is called when it fails for good.
pub(crate) fn plant(
    parts: Parts<'_>,
    give_up: impl FnOnce(String) + Send + 'static,
) -> Result<TreeBuilder, WorkerError> {
    let Parts { arguments, started, link, mut handover, listeners, notes, finish } = parts;
    let Notes { notes, events, closed, problem, counting, finding } = notes;
    let (regulars_in, regulars) = Published::new(Regulars::default());
    let owners: Arc<dyn Owners> = match &notes {
        Some(notes) => notes.clone(),
        None => Arc::new(TableOwners::new(regulars)),
    };
    let metrics = seawall_api::install_metrics()?;
    describe_metrics();
    let mut tree = TreeBuilder::new(give_up);
    let at = declare(&mut tree).map_err(WorkerError::Wake)?;

    let layout = handover.layout;
    let inherited = handover.rules.as_ref().and_then(|rules| Epoch::new(rules.epoch));
    let survey = Arc::new(SocketSurvey);
    let orientation = Arc::new(Orientation::new(survey::sessions(survey.as_ref())));
    let suspects = || {
        let recent = handover.facts.recent_crashes;
        Arc::new(Mutex::new(Suspects::after(recent, Instant::now())))
    };
    let (new_suspects, rest_suspects) = (suspects(), suspects());
    let new_reader = Lender::new(handover.new_reader()?);
    let rest_reader = Lender::new(handover.rest_reader()?);
    let parked = Arc::new(ParkedCount::default());
    let (facts_in, facts) = Published::<KeeperFacts>::new(handover.facts);
    let (surroundings_in, surroundings) = Published::new(Surroundings::default());
    let (snapshot_in, snapshot) = Published::new(Snapshot::unloaded());
    let (answers_in, answers) = Published::new(Answers::default());
    let (standing_in, standing) = Published::new(Standing::initial(inherited));
    let state = Store::open(&arguments.folders.state_dir.join(store::FOLDER_NAME))?;

    tree.thread::<KeeperLink>(
        &at.keeper.0,
        KeeperLinkArguments {
            link: Lender::new(link),
            wake: at.keeper.1,
            facts: (facts_in, facts.clone()),
            finish,
        },
    );
    tree.actor::<Network>(
        &at.network,
        seawall_network::Arguments {
            kernel: Arc::new(Rtnetlink),
            publisher: surroundings_in,
            published: surroundings.clone(),
            policy: at.policy.clone(),
        },
    );
    tree.actor::<Policy>(
        &at.policy,
        seawall_policy::Arguments {
            file: arguments.folders.config.config.clone(),
            running: settings::running(arguments, &layout),
            store: Lender::new(state),
            publisher: snapshot_in,
            published: snapshot.clone(),
            surroundings: surroundings.clone(),
            datapath: at.datapath.clone(),
            survey,
            programs: Arc::new(RunningProcesses),
        },
    );
    tree.actor::<Processes>(
        &at.process,
        seawall_process::Arguments {
            finding,
            notes,
            events,
            closed,
            ledger: Lender::new(seawall_process::Ledger::default()),
            counting,
            problem,
            policy: snapshot.clone(),
            regulars: regulars_in,
            datapath: at.datapath.clone(),
            policies: at.policy.clone(),
        },
    );
    let kept_prompts = arguments.folders.state_dir.join(seawall_prompt::store::FOLDER_NAME);
    tree.actor::<Prompts>(
        &at.prompt,
        seawall_prompt::Arguments {
            snapshot: snapshot.clone(),
            policy: at.policy.clone(),
            datapath: at.datapath.clone(),
            store: Lender::new(seawall_prompt::Store::at(&kept_prompts)),
            publisher: answers_in,
            published: answers.clone(),
            processes: Arc::new(RunningProcesses),
        },
    );
    tree.actor::<Verdict>(
        &at.verdict,
        seawall_verdict::Arguments {
            policy: snapshot.clone(),
            process: at.process.clone(),
            prompt: at.prompt.clone(),
            answers: answers.clone(),
        },
    );
    tree.thread::<NewQueue>(
        &at.new.0,
        NewQueueArguments {
            layout,
            reader: new_reader,
            wake: at.new.1,
            owners: Arc::clone(&owners),
            verdict: at.verdict.clone(),
            rest: at.rest.0.clone(),
            controller: at.datapath.clone(),
            standing: standing.clone(),
            orientation: orientation.clone(),
            suspects: new_suspects,
            user_answers: answers,
            parked: parked.clone(),
        },
    );
    tree.thread::<RestQueue>(
        &at.rest.0,
        RestQueueArguments {
            layout,
            reader: rest_reader,
            wake: at.rest.1,
            owners,
            controller: at.datapath.clone(),
            standing: standing.clone(),
            keeper_facts: facts.clone(),
            orientation: orientation.clone(),
            suspects: rest_suspects,
        },
    );
    tree.actor::<Controller>(
        &at.datapath,
        ControllerArguments {
            layout,
            policy: snapshot.clone(),
            standing,
            publisher: standing_in,
            verdict: at.verdict.clone(),
            process: at.process.clone(),
            new: at.new.0,
            rest: at.rest.0,
            keeper: at.keeper.0,
            keeper_facts: facts.clone(),
            orientation,
            inherits_rules: inherited.is_some(),
            parked,
            hits: Lender::new(Hits::default()),
        },
    );
    let services = Services {
        policy: at.policy,
        process: at.process,
        prompt: at.prompt,
        verdict: at.verdict,
        datapath: at.datapath,
        snapshot,
        surroundings,
        keeper: facts,
        introspect: tree.introspect(),
        metrics,
        layout,
        started,
        version: VERSION,
    };
    let arguments = seawall_api::Arguments { listeners: Lender::new(listeners), services };
    tree.actor::<Api>(&at.api, arguments);
    Ok(tree)
}

fn describe_metrics() {
    descriptions::describe_metrics();
    seawall_network::describe_metrics();
    seawall_policy::describe_metrics();
    seawall_process::describe_metrics();
    seawall_prompt::describe_metrics();
    seawall_verdict::describe_metrics();
    seawall_datapath::describe_metrics();
    seawall_api::describe_metrics();
}
