//! `GET /v1/network`: where the machine is, and which of the networks that the policy names that is.
//! `POST /v1/networks`: networks of the store named, changed, forgotten; that is root's.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use seawall_messages::Snapshot;
use seawall_messages::api::NetworkChanged;
use seawall_messages::network::{NamedNetwork, NetworkAnswer, NetworkShown};
use seawall_messages::policy::{self, NetworkChange};
use seawall_messages::setting::Origin;

use crate::actor::Services;
use crate::error::Error;
use crate::routes::{PeerUid, await_policy};
use crate::settings::changed;

pub(crate) async fn network(State(services): State<Services>) -> Json<NetworkAnswer> {
    let snapshot = services.snapshot.load();
    let surroundings = (*services.surroundings.load()).clone();
    Json(NetworkAnswer { surroundings, networks: shown(&snapshot) })
}

pub(crate) async fn change(
    State(services): State<Services>,
    Extension(uid): Extension<PeerUid>,
    Json(change): Json<NetworkChange>,
) -> Result<Json<NetworkChanged>, Error> {
    let question = |reply| policy::Message::ChangeNetwork { change: change.clone(), reply };
    let (network, policy) = changed(&services, uid, question).await?;
    await_policy(&services, policy.generation).await?;
    Ok(Json(NetworkChanged { network, policy }))
}

/// The names of those networks that the machine is in; `None`: the policy names none.
pub(crate) fn here(snapshot: &Snapshot) -> Option<Vec<Arc<str>>> {
    let here = snapshot.networks.iter().filter(|network| network.is_here);
    let names = here.map(|network| Arc::clone(&network.name)).collect();
    (!snapshot.networks.is_empty()).then_some(names)
}

fn shown(snapshot: &Snapshot) -> Vec<NetworkShown> {
    let counts = snapshot.network().map(|network| &network.name);
    let show = |(at, network): (usize, &NamedNetwork)| NetworkShown {
        name: Arc::clone(&network.name),
        looks: network.looks.clone(),
        is_here: network.is_here,
        counts: counts == Some(&network.name),
        origin: if at < snapshot.managed.networks { Origin::File } else { Origin::Store },
    };
    snapshot.networks.iter().enumerate().map(show).collect()
}

#[cfg(test)]
mod tests {
    use seawall_messages::network::NetworkMatch;
    use seawall_messages::policy::ManagedRules;

    use super::*;

    fn named(name: &str, is_here: bool) -> NamedNetwork {
        let looks = NetworkMatch { interface: Some(Arc::from("eth0")), ..NetworkMatch::default() };
        NamedNetwork { name: Arc::from(name), looks, filter: Default::default(), is_here }
    }

    #[test]
    fn the_first_that_the_machine_is_in_counts() {
        let networks = vec![named("a", false), named("b", true), named("c", true)];
        let managed = ManagedRules { networks: 2, ..ManagedRules::default() };
        let snapshot = Snapshot { networks, managed, ..Snapshot::unloaded() };
        let told: Vec<_> =
            shown(&snapshot).iter().map(|it| (it.is_here, it.counts, it.origin)).collect();
        let expected = [
            (false, false, Origin::File),
            (true, true, Origin::File),
            (true, false, Origin::Store),
        ];
        assert_eq!(told, expected);
        assert_eq!(here(&snapshot), Some(vec![Arc::from("b"), Arc::from("c")]));
        assert_eq!(here(&Snapshot::unloaded()), None);
    }
}
