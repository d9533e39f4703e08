//! What the processes of Seawall must know before any component runs: where
//! their queues and mark bits lie, and that there is a policy to load at all.

use std::path::Path;

use seawall_messages::policy::PolicySource;

use crate::choice::{Choice, Found};
use crate::error::Error;
use crate::file::{self, ServiceSettings};
use crate::store::Store;

/// How Seawall is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Startup {
    /// `[service]` and `[metrics]`.
    pub service: ServiceSettings,
    /// Where they came from.
    pub source: PolicySource,
    /// Why the file as it is now was refused.
    pub refused: Option<String>,
}

/// Reads the policy file, or the last good copy of it in the store's folder.
/// The store is only opened where the file can't be used; it must not be open
/// elsewhere then.
///
/// Errors say that the file is bad and no copy is known: Seawall refuses to start.
pub fn startup(file: &Path, store_folder: &Path) -> Result<Startup, Error> {
    let found = Found::look(file);
    let last_good = match found {
        Found::Good { .. } => None,
        _ if Store::exists(store_folder) => {
            copy_of_last_good(&mut Store::open(store_folder)?, file)?
        }
        _ => None,
    };
    let choice = Choice::at_start(found, last_good, false).map_err(Error::NoPolicy)?;
    let Choice { settings, source, refused } = choice;
    Ok(Startup { service: settings.service, source, refused })
}

/// The remembered file, parsed. It was good when it was stored; a later version
/// of Seawall may see that differently.
pub(crate) fn copy_of_last_good(
    store: &mut Store,
    file: &Path,
) -> Result<Option<file::PolicyFile>, Error> {
    let Some(text) = store.last_good()? else { return Ok(None) };
    let copy =
        file::parse(&text, file).map_err(|problems| Error::CopyRefused(problems.to_string()))?;
    Ok(Some(copy))
}
