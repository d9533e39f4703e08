//! The conversation with `policy`.

use std::time::Duration;

use seawall_runtime::Reply;

use super::{
    AddedRule, ChangeRule, ChangedRule, Difference, Import, KeptNetwork, NetworkChange, NewRule,
    PolicyGeneration, PolicyRefusal, PolicyStatus, Profile, ProfileChange, SeenApp, SettingsChange,
    SettingsStatus,
};

/// What `policy` is asked.
#[derive(Debug)]
pub enum Message {
    /// From `api`: read the file again now. The answer comes after the new
    /// policy is published; an error says file, line and reason, and the old
    /// policy stays. Asking again is safe.
    Reload {
        /// Status after the reload, or why it was refused.
        reply: Reply<Result<PolicyStatus, String>>,
    },
    /// From `api`. Asking again is safe.
    Status {
        /// Where the policy in force came from.
        reply: Reply<PolicyStatus>,
    },
    /// From `api`: forget an adopted entry. Durable before it is answered.
    /// Asking again answers `false`.
    RemoveAdopted {
        /// Which one.
        id: u32,
        /// Whether there was one, or why it could not be stored.
        reply: Reply<Result<bool, String>>,
    },
    /// From `api`: put a rule into the store and publish. Durable before it is answered. An error
    /// leaves all as it was. Asking again is safe: a rule that is first already stays once. One that
    /// ends with its app is of the app's oldest process.
    AddRule {
        /// The rule and its place.
        rule: NewRule,
        /// Where it is now, or why it is not.
        reply: Reply<Result<(AddedRule, PolicyStatus), PolicyRefusal>>,
    },
    /// From `api`: take a rule out of the store, or switch it, and publish. Durable before it is
    /// answered. An error leaves all as it was. Asking again is safe: what is gone is not found.
    ChangeRule {
        /// The rule, and what shall become of it.
        asked: ChangeRule,
        /// What became of it, or why nothing did.
        reply: Reply<Result<(ChangedRule, PolicyStatus), PolicyRefusal>>,
    },
    /// From `api`: let everything pass for so long, in place of a pause that there may be.
    /// Durable before it is answered. Asking again begins it again.
    Pause {
        /// How long; longer ones end after a day.
        length: Duration,
        /// Status of what is in force then, or why it could not be stored.
        reply: Reply<Result<PolicyStatus, String>>,
    },
    /// From `api`: end the pause, if there is one. Durable before it is answered. Asking again is safe.
    Resume {
        /// Status of what is in force then, or why it could not be stored.
        reply: Reply<Result<PolicyStatus, String>>,
    },
    /// From `api`: the settings for all, or of an app. Asking again is safe.
    Settings {
        /// The app, by the name of its profile, its path or id; `None` for all.
        app: Option<String>,
        /// How they stand; nothing where there is no such profile.
        reply: Reply<Result<SettingsStatus, PolicyRefusal>>,
    },
    /// From `api`: change settings in the store and publish. Durable before it is answered. An
    /// error leaves all as it was. Asking again is safe.
    ChangeSettings {
        /// What shall be said.
        change: SettingsChange,
        /// Status of what is in force then.
        reply: Reply<Result<PolicyStatus, PolicyRefusal>>,
    },
    /// From `api`. Asking again is safe.
    Profiles {
        /// All of them, by name.
        reply: Reply<Result<Vec<Profile>, PolicyRefusal>>,
    },
    /// From `api`: change profiles in the store and publish. Durable before it is answered. An
    /// error leaves all as it was. Asked again, what is gone is not found.
    ChangeProfile {
        /// What shall become of which.
        change: ProfileChange,
        /// The profile as it is, or was, and status of what is in force then.
        reply: Reply<Result<(Profile, PolicyStatus), PolicyRefusal>>,
    },
    /// From `api`: change the named networks of the store and publish. Durable before it is answered.
    /// An error leaves all as it was. Asked again, what is gone is not found.
    ChangeNetwork {
        /// What shall become of which.
        change: NetworkChange,
        /// The network as it is, or was, and status of what is in force then.
        reply: Reply<Result<(KeptNetwork, PolicyStatus), PolicyRefusal>>,
    },
    /// From `api`: what the store says, as text. Asking again is safe.
    Export {
        /// Only the profile of this app.
        app: Option<String>,
        /// TOML of the form of the policy file.
        reply: Reply<Result<String, PolicyRefusal>>,
    },
    /// From `api`: take a text into the store and publish. Durable before it is answered. An
    /// error leaves all as it was. Asking again is safe.
    Import {
        /// The text, and what to do with it.
        import: Import,
        /// What is changed by it, and status of what is in force then.
        reply: Reply<Result<(Difference, PolicyStatus), PolicyRefusal>>,
    },
    /// From `process`: apps that were on the network for the first time since it began to look.
    /// Those that nothing is about yet get a profile that says nothing. Telling again is safe.
    AppsSeen(Vec<SeenApp>),
    /// From `prompt`: publish what is in force as a new generation, for the user's answers
    /// decide connections, too, and live ones are to follow them. Asking again does it again.
    Renew {
        /// The new generation.
        reply: Reply<PolicyGeneration>,
    },
    /// From its own file watcher.
    FileChanged,
    /// From `network`: the machine may be in another network. Telling again is safe.
    NetworkChanged,
    /// From its own alarm: rules may have begun or ceased to count, or a pause is over.
    TimePassed,
    /// From its own watch: an app that rules end with may have ended. Telling again is safe.
    AppEnded,
}
