//! Tells `policy` which sockets this machine has, as the kernel lists them.

use seawall_messages::Flow;
use seawall_messages::policy::AdoptedEntry;
use seawall_platform::linux::sockets::{Socket, SocketDiag};
use seawall_policy::{FoundSocket, Role, Survey, SurveyError, adopt};

/// Asks sock_diag.
pub(super) struct SocketSurvey;

impl Survey for SocketSurvey {
    fn sockets(&self) -> Result<Vec<FoundSocket>, SurveyError> {
        let listed = SocketDiag::open()
            .and_then(|mut diag| diag.list())
            .map_err(|error| SurveyError(Box::new(error)))?;
        Ok(listed.iter().map(found).collect())
    }
}

/// The connections that exist now, in their true direction: connection
/// tracking takes up one that is older than itself either way round.
pub(super) fn sessions(survey: &dyn Survey) -> Vec<Flow> {
    match survey.sockets() {
        Ok(sockets) => adopt::adopt(&sockets)
            .into_iter()
            .filter_map(|adopted| match adopted.what {
                AdoptedEntry::Session { flow } => Some(flow),
                AdoptedEntry::Listener { .. } => None,
            })
            .collect(),
        Err(error) => {
            let error = crate::verbs::describe(&error);
            tracing::warn!(error, "Directions of old connections are not known");
            Vec::new()
        }
    }
}

fn found(socket: &Socket) -> FoundSocket {
    let role = if socket.listening {
        Role::Listener { only_v6: socket.only_v6 }
    } else {
        Role::Session { remote: socket.remote }
    };
    FoundSocket { protocol: socket.protocol, local: socket.local, role }
}
