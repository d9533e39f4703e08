//! Rules that are put into the file, taken out of it, or switched there.

use seawall_messages::policy::{
    AddedRule, ChangeRule, ChangedRule, NewRule, PolicySource, PolicyStatus, RuleRefusal,
};

use super::Policy;
use crate::edit;
use crate::error::{Error, chain};
use crate::events;
use crate::file::{self, ReadError};
use crate::replace::replace;

impl Policy {
    /// Writes a rule into the file, then takes it up as after any change.
    pub(super) fn add_rule(
        &mut self,
        rule: &NewRule,
    ) -> Result<Result<(AddedRule, PolicyStatus), RuleRefusal>, Error> {
        let added = match self.write_rule(rule) {
            Ok(added) => added,
            Err(refusal) => return Ok(Err(refusal)),
        };
        events::RuleAdded { rule, added: &added }.emit();
        self.reread()?;
        Ok(match &self.choice.refused {
            None => Ok((added, self.status())),
            Some(reason) => Err(RuleRefusal::Failed(reason.clone())),
        })
    }

    fn write_rule(&self, rule: &NewRule) -> Result<AddedRule, RuleRefusal> {
        let path = &self.arguments.file;
        let old = self.text_to_edit()?;
        let edited = edit::insert(old.as_deref().unwrap_or_default(), rule, path)?;
        if !edited.added.was_there {
            self.write(old.as_deref(), &edited.text)?;
        }
        Ok(edited.added)
    }

    /// Takes a rule out of the file or switches it, then takes that up as after any change.
    pub(super) fn change_rule(
        &mut self,
        asked: &ChangeRule,
    ) -> Result<Result<(ChangedRule, PolicyStatus), RuleRefusal>, Error> {
        let path = &self.arguments.file;
        let changed = self.text_to_edit().and_then(|old| {
            let edited = edit::change(old.as_deref().unwrap_or_default(), asked, path)?;
            self.write(old.as_deref(), &edited.text)?;
            Ok(edited.changed)
        });
        let changed = match changed {
            Ok(changed) => changed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        events::RuleChanged { asked, changed: &changed }.emit();
        self.reread()?;
        Ok(match &self.choice.refused {
            None => Ok((changed, self.status())),
            Some(reason) => Err(RuleRefusal::Failed(reason.clone())),
        })
    }

    /// What the file says; `None` where there is none, and never was.
    fn text_to_edit(&self) -> Result<Option<String>, RuleRefusal> {
        match file::read(&self.arguments.file) {
            Ok(text) => Ok(Some(text)),
            // One that went away would say less than the copy that is in force.
            Err(ReadError::Missing(_)) if self.choice.source == PolicySource::Defaults => Ok(None),
            Err(error) => Err(RuleRefusal::Failed(chain(&error))),
        }
    }

    fn write(&self, old: Option<&str>, new: &str) -> Result<(), RuleRefusal> {
        let refuse = |error: &dyn std::error::Error| RuleRefusal::Failed(chain(error));
        let path = &self.arguments.file;
        if new.len() as u64 > file::MAX_FILE_BYTES {
            return Err(refuse(&ReadError::TooLarge(path.clone())));
        }
        replace(path, old, new).map_err(|error| refuse(&error))
    }
}
