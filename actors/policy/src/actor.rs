//! The shell: reads the file, remembers it, publishes, answers.

mod edits;
mod ends;
mod keeping;
mod pausing;
mod seen;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use seawall_messages::network::Surroundings;
use seawall_messages::policy::{
    Adopted, IdleRule, Message, PolicyGeneration, PolicyStatus, SeenApp,
};
use seawall_messages::rule::{Present, Run};
use seawall_messages::{Snapshot, datapath};
use seawall_runtime::{
    Address, Component, Context, Failure, Lease, LeaseError, Lender, Published, Publisher,
    StartError, TellError,
};

use self::ends::Watch;
use self::keeping::Unwritable;
use crate::adopt::{self, Survey};
use crate::choice::{Choice, Found};
use crate::effective;
use crate::error::{Error, chain};
use crate::events;
use crate::file::ServiceSettings;
use crate::networks;
use crate::pause::Pause;
use crate::rule;
use crate::running::Running;
use crate::startup::copy_of_last_good;
use crate::store::{Store, StoreError};
use crate::stored::Stored;
use crate::time::next_look;
use crate::watch::{self, Fingerprint};

/// How soon `datapath` is told again when its mailbox was full.
const RETELL_AFTER: Duration = Duration::from_millis(100);

/// Longest time between two looks whether a pause is over: a machine may sleep meanwhile.
const MOST_PAUSED: Duration = Duration::from_secs(60);

/// What an incarnation is made from.
#[derive(Clone)]
pub struct Arguments {
    /// The policy file.
    pub file: PathBuf,
    /// What this process was started with: changes to it need a restart.
    pub running: ServiceSettings,
    /// The durable state.
    pub store: Lender<Store>,
    /// Where snapshots go.
    pub publisher: Publisher<Snapshot>,
    /// What was published last, be it by an earlier incarnation.
    pub published: Published<Snapshot>,
    /// Where the machine is.
    pub surroundings: Published<Surroundings>,
    /// Told of every new generation.
    pub datapath: Address<datapath::Message>,
    /// Lists this machine's sockets.
    pub survey: Arc<dyn Survey>,
    /// Knows which apps run.
    pub programs: Arc<dyn Running>,
}

/// Whether what is in force already is published, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Publication {
    IfChanged,
    Anew,
}

/// The component `policy`.
pub struct Policy {
    context: Context<Message>,
    arguments: Arguments,
    store: Lease<Store>,
    choice: Choice,
    adopted: Vec<Adopted>,
    pause: Option<Pause>,
    generation: PolicyGeneration,
    /// What the store says of settings and profiles.
    stored: Stored,
    /// Apps that were seen while the store could not be written: taken up with its next success.
    unstored: Vec<SeenApp>,
    /// Why changes can't be stored, where they can't.
    unwritable: Option<Unwritable>,
    /// When profiles of no use were looked for.
    tidied: Option<Instant>,
    /// The text of the file that the store remembers.
    last_good: Option<String>,
    /// Whether `datapath` has yet to be told of the generation.
    untold: bool,
    /// Says when a rule may begin or cease to count.
    alarm: Option<tokio::task::JoinHandle<()>>,
    /// Says when an app may have ended that a rule ends with.
    watch: Option<Watch>,
}

impl Component for Policy {
    type Message = Message;
    type Arguments = Arguments;

    async fn start(context: Context<Message>, arguments: Arguments) -> Result<Self, StartError> {
        let seen = Fingerprint::of(&arguments.file);
        let address = context.address().clone();
        let file = arguments.file.clone();
        let mut policy = Self::load(context, arguments)?;
        policy.publish()?;
        tokio::spawn(watch::watch(file, seen, address));
        Ok(policy)
    }

    async fn handle(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::Reload { reply } => {
                self.forget_ended()?;
                self.reread()?;
                reply.send(match &self.choice.refused {
                    Some(reason) => Err(reason.clone()),
                    None => Ok(self.status()),
                });
            }
            Message::Status { reply } => {
                self.look_at_store_again()?;
                reply.send(self.status());
            }
            Message::RemoveAdopted { id, reply } => reply.send(self.remove_adopted(id)?),
            Message::AddRule { rule, reply } => reply.send(self.add_rule(&rule)?),
            Message::ChangeRule { asked, reply } => reply.send(self.change_rule(&asked)?),
            Message::Renew { reply } => reply.send(self.renew()?),
            Message::Pause { length, reply } => {
                let pause = Pause::begin(length, SystemTime::now(), Instant::now());
                reply.send(self.change_pause(Some(pause))?);
            }
            Message::Resume { reply } => reply.send(self.change_pause(None)?),
            Message::Settings { app, reply } => reply.send(self.settings(app.as_deref())?),
            Message::ChangeSettings { change, reply } => {
                reply.send(self.change_settings(&change)?);
            }
            Message::Profiles { reply } => reply.send(self.profiles()?),
            Message::ChangeProfile { change, reply } => reply.send(self.change_profile(&change)?),
            Message::ChangeNetwork { change, reply } => reply.send(self.change_network(&change)?),
            Message::Export { app, reply } => reply.send(self.export(app.as_deref())?),
            Message::Import { import, reply } => reply.send(self.import(&import)?),
            Message::AppsSeen(apps) => self.take_up_seen(apps)?,
            Message::FileChanged => self.reread()?,
            Message::TimePassed | Message::NetworkChanged | Message::AppEnded => self.publish()?,
        }
        Ok(())
    }
}

impl Policy {
    fn load(context: Context<Message>, arguments: Arguments) -> Result<Self, Error> {
        let store = arguments.store.lend(context.generation())?;
        let published = arguments.published.load();
        let found = Found::look(&arguments.file);
        let remembered = store.with(Store::last_good)??;
        let mut stored = Stored::new(store.with(Store::settings)??, store.with(Store::profiles)??);
        stored = stored.with_networks(store.with(Store::networks)??);
        let seen = store.with(Store::seen)??;
        stored.note_seen(&seen.into_iter().map(|(id, at)| (id, Some(at))).collect::<Vec<_>>());
        let last_good = match found {
            Found::Good { .. } => None,
            _ => store.with(|store| copy_of_last_good(store, &arguments.file))??,
        };
        let text = found.text();
        let was_running = published.generation > PolicyGeneration(0);
        let choice = Choice::at_start(found, last_good, was_running).map_err(Error::NoPolicy)?;
        let mut policy = Self {
            context,
            store,
            choice,
            adopted: Vec::new(),
            pause: None,
            generation: published.generation,
            stored,
            unstored: Vec::new(),
            unwritable: None,
            tidied: None,
            last_good: remembered,
            untold: true,
            alarm: None,
            watch: None,
            arguments,
        };
        policy.look_at_store()?;
        policy.take_up_adopted()?;
        policy.take_up_pause()?;
        policy.remember(text)?;
        if let Some(reason) = &policy.choice.refused {
            events::Refused { reason }.emit();
        }
        policy.report_restart_needed();
        events::kept_without_use(&policy.unused_settings());
        Ok(policy)
    }

    /// The adopted entries of an earlier start that are still open; at the
    /// first start, those that are made now.
    fn take_up_adopted(&mut self) -> Result<(), Error> {
        if let Some(adopted) = self.store.with(Store::adopted)?? {
            self.adopted = adopted;
            return self.forget_ended();
        }
        match self.arguments.survey.sockets() {
            Ok(sockets) => {
                let adopted = adopt::adopt(&sockets);
                self.store.with(|store| store.finish_first_start(&adopted))??;
                events::Adopted { entries: &adopted }.emit();
                self.adopted = adopted;
            }
            // Tried again at the next start: the first start isn't done.
            Err(error) => events::SurveyFailed { error: &error }.emit(),
        }
        Ok(())
    }

    fn reread(&mut self) -> Result<(), Error> {
        let found = Found::look(&self.arguments.file);
        let text = found.text();
        let choice = self.choice.after(found);
        if let Some(reason) = &choice.refused
            && self.choice.refused.as_ref() != Some(reason)
        {
            events::Refused { reason }.emit();
        }
        let is_new = choice.settings != self.choice.settings;
        self.choice = choice;
        self.remember(text)?;
        if is_new {
            self.report_restart_needed();
            events::kept_without_use(&self.unused_settings());
        }
        self.publish()
    }

    /// Stores the text of a file that could be read. A store that refuses is
    /// no reason to refuse the file.
    fn remember(&mut self, text: Option<String>) -> Result<(), Error> {
        let Some(text) = text.filter(|text| self.last_good.as_ref() != Some(text)) else {
            return Ok(());
        };
        if self.keep(|store| store.set_last_good(&text))?.is_ok() {
            self.last_good = Some(text);
        }
        Ok(())
    }

    /// Publishes what is in force once more, so that what it decided is decided anew.
    fn renew(&mut self) -> Result<PolicyGeneration, Error> {
        self.publish_as(Publication::Anew)?;
        Ok(self.generation)
    }

    /// Publishes what is in force if it isn't yet, and tells `datapath` of it.
    fn publish(&mut self) -> Result<(), Error> {
        self.publish_as(Publication::IfChanged)
    }

    fn publish_as(&mut self, publication: Publication) -> Result<(), Error> {
        events::file_is_refused(self.choice.refused.is_some());
        let published = self.arguments.published.load();
        let left = self.pause_left()?;
        let present = self.present_of(&self.stored);
        let mut snapshot = self.snapshot(published.generation, &present);
        snapshot.paused = left.is_some();
        if *published == snapshot && publication == Publication::IfChanged {
            events::Unchanged.emit();
        } else {
            snapshot.generation = PolicyGeneration(published.generation.0 + 1);
            self.generation = snapshot.generation;
            self.untold = true;
            if !self.arguments.publisher.publish(self.context.generation(), snapshot) {
                return Err(Error::Abandoned(LeaseError));
            }
            let snapshot = &self.arguments.published.load();
            events::Published { snapshot, source: self.choice.source }.emit();
            events::RulesIdle { rules: &IdleRule::of(snapshot.lists()) }.emit();
        }
        self.tell_datapath();
        self.set_alarm(left);
        self.watch_runs(present.runs);
        Ok(())
    }

    /// Looks again when a rule may begin or cease to count, or a pause may be over.
    fn set_alarm(&mut self, pause_left: Option<Duration>) {
        if let Some(alarm) = self.alarm.take() {
            alarm.abort();
        }
        let rules = self.choice.settings.lists().chain(self.stored.lists()).flatten();
        let pause_left = pause_left.map(|left| left.min(MOST_PAUSED));
        let due = next_look(rules, SystemTime::now()).into_iter().chain(pause_left).min();
        let Some(wait) = due else { return };
        let address = self.context.address().clone();
        self.alarm = Some(tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            while address.tell(Message::TimePassed).is_err() {
                tokio::time::sleep(RETELL_AFTER).await;
            }
        }));
    }

    fn tell_datapath(&mut self) {
        if !self.untold {
            return;
        }
        let message = datapath::Message::PolicyPublished { generation: self.generation };
        match self.arguments.datapath.tell(message) {
            // Stopped for good: nobody is left who needs to know.
            Ok(()) | Err(TellError::Unavailable(_)) => self.untold = false,
            Err(TellError::Overloaded(_)) => {
                let address = self.context.address().clone();
                tokio::spawn(async move {
                    loop {
                        tokio::time::sleep(RETELL_AFTER).await;
                        if address.tell(Message::FileChanged).is_ok() {
                            return;
                        }
                    }
                });
            }
        }
    }

    fn remove_adopted(&mut self, id: u32) -> Result<Result<bool, String>, Error> {
        if !self.adopted.iter().any(|adopted| adopted.id == id) {
            return Ok(Ok(false));
        }
        Ok(match self.forget(&[id])? {
            Ok(()) => {
                self.publish()?;
                Ok(true)
            }
            Err(error) => Err(chain(&error)),
        })
    }

    /// Drops the adopted connections that have ended.
    fn forget_ended(&mut self) -> Result<(), Error> {
        if self.adopted.is_empty() {
            return Ok(());
        }
        let ids = match self.arguments.survey.sockets() {
            Ok(sockets) => adopt::ended(&self.adopted, &sockets),
            Err(error) => {
                events::SurveyFailed { error: &error }.emit();
                return Ok(());
            }
        };
        if ids.is_empty() {
            return Ok(());
        }
        // Those that can't be forgotten are looked at again.
        let _ = self.forget(&ids)?;
        Ok(())
    }

    /// Durable first, then in memory.
    fn forget(&mut self, ids: &[u32]) -> Result<Result<(), StoreError>, Error> {
        let stored = self.keep(|store| store.remove_adopted(ids))?;
        if stored.is_ok() {
            self.adopted.retain(|adopted| !ids.contains(&adopted.id));
            events::Forgotten { ids }.emit();
        }
        Ok(stored)
    }

    fn report_restart_needed(&self) {
        let settings = self.restart_needed();
        if !settings.is_empty() {
            events::RestartNeeded { settings: &settings }.emit();
        }
    }

    fn restart_needed(&self) -> Vec<String> {
        self.choice.settings.service.restart_needed(&self.arguments.running)
    }

    fn status(&self) -> PolicyStatus {
        PolicyStatus {
            generation: self.generation,
            file: self.arguments.file.clone(),
            source: self.choice.source,
            refused: self.choice.refused.clone(),
            restart_needed: self.restart_needed(),
            paused_s: self.paused_s(),
            store_problem: self.unwritable.as_ref().map(Unwritable::why),
            idle_rules: self.idle_rules(PolicyStatus::MOST_IDLE_RULES),
            unused_settings: self.unused_settings(),
        }
    }

    fn idle_rules(&self, most: usize) -> Vec<IdleRule> {
        let mut rules = IdleRule::of(self.arguments.published.load().lists());
        rules.truncate(most);
        rules
    }

    fn unused_settings(&self) -> Vec<String> {
        let (file, kept) = (&self.choice.settings.networks, self.stored.networks());
        let known = self.networks();
        let named = |name: &Arc<str>| known.contains(name);
        let without = self.stored.lists().flatten().filter_map(|rule| {
            let network = &rule.only.as_ref()?.network.as_ref()?.name;
            let problem = || format!("`{}`: no [[network]] is called {network}", rule.text);
            (!named(network)).then(problem)
        });
        let of_networks = networks::problems(file, kept);
        let problems = self.stored.problems().chain(of_networks);
        problems.chain(without).take(PolicyStatus::MOST_IDLE_RULES).collect()
    }

    fn snapshot(&self, generation: PolicyGeneration, at: &Present) -> Snapshot {
        let (file, adopted) = (&self.choice.settings, self.adopted.clone());
        effective::snapshot(file, &self.stored, generation, adopted, at)
    }

    /// What is so now, as far as the rules look at it, where that is stored.
    fn present_of(&self, stored: &Stored) -> Present {
        let surroundings = self.arguments.surroundings.load();
        let goes_on = |run: &Run| self.arguments.programs.goes_on(run);
        effective::present(&self.choice.settings, stored, rule::now(), &surroundings, goes_on)
    }
}
