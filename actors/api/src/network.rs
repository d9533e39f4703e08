//! `GET /v1/network`: where the machine is, and which of the networks that the policy names that is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use seawall_messages::Snapshot;
use seawall_messages::network::{NamedNetwork, NetworkAnswer, NetworkShown};

use crate::actor::Services;

pub(crate) async fn network(State(services): State<Services>) -> Json<NetworkAnswer> {
    let snapshot = services.snapshot.load();
    let surroundings = (*services.surroundings.load()).clone();
    Json(NetworkAnswer { surroundings, networks: shown(&snapshot) })
}

/// The names of those networks that the machine is in; `None`: the policy names none.
pub(crate) fn here(snapshot: &Snapshot) -> Option<Vec<Arc<str>>> {
    let here = snapshot.networks.iter().filter(|network| network.is_here);
    let names = here.map(|network| Arc::clone(&network.name)).collect();
    (!snapshot.networks.is_empty()).then_some(names)
}

fn shown(snapshot: &Snapshot) -> Vec<NetworkShown> {
    let counts = snapshot.network().map(|network| &network.name);
    let show = |NamedNetwork { name, looks, is_here, .. }: &NamedNetwork| NetworkShown {
        name: Arc::clone(name),
        looks: looks.clone(),
        is_here: *is_here,
        counts: counts == Some(name),
    };
    snapshot.networks.iter().map(show).collect()
}

#[cfg(test)]
mod tests {
    use seawall_messages::network::NetworkMatch;

    use super::*;

    fn named(name: &str, is_here: bool) -> NamedNetwork {
        let looks = NetworkMatch { interface: Some(Arc::from("eth0")), ..NetworkMatch::default() };
        NamedNetwork { name: Arc::from(name), looks, filter: Default::default(), is_here }
    }

    #[test]
    fn the_first_that_the_machine_is_in_counts() {
        let networks = vec![named("a", false), named("b", true), named("c", true)];
        let snapshot = Snapshot { networks, ..Snapshot::unloaded() };
        let told: Vec<_> = shown(&snapshot).iter().map(|it| (it.is_here, it.counts)).collect();
        assert_eq!(told, [(false, false), (true, true), (true, false)]);
        assert_eq!(here(&snapshot), Some(vec![Arc::from("b"), Arc::from("c")]));
        assert_eq!(here(&Snapshot::unloaded()), None);
    }
}
