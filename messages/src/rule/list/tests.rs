//! The index finds what going through the list finds.

use proptest::prelude::*;

use super::super::{
    Country, DomainPattern, Only, Permission, Port, ScopeSet, Service, Subject, User, UserMatch,
    When,
};
use super::*;
use crate::flow::Protocol;

/// From a world so small that rules and subjects meet.
fn addresses() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0..4u32).prop_map(|host| IpAddr::V4((0x0a00_0000 + host).into())),
        Just(IpAddr::V4([9, 9, 9, 9].into())),
        (0..4u128).prop_map(|host| IpAddr::V6(((0x2606_u128 << 112) + host).into())),
        Just(IpAddr::V4([127, 0, 0, 1].into())),
    ]
}

fn names() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["a.", "b.a.", "c.b.a.", "bb.a.", "."]).prop_map(str::to_owned)
}

fn entities() -> impl Strategy<Value = Entity> {
    let networks = (addresses(), 0..=128u8).prop_map(|(address, length)| {
        let length = if address.is_ipv4() { length % 33 } else { length };
        Entity::Network(IpNet::new(address, length).expect("a network").trunc())
    });
    let forms = proptest::sample::select(vec![
        DomainForm::Exact,
        DomainForm::Zone,
        DomainForm::Suffix,
        DomainForm::Prefix,
        DomainForm::Contains,
    ]);
    let domains = (forms, names()).prop_map(|(form, name)| {
        let text: Arc<str> = Arc::from(name);
        Entity::Domain(DomainPattern { form, text: text.clone(), written: text })
    });
    prop_oneof![
        Just(Entity::Any),
        addresses().prop_map(Entity::Address),
        networks,
        (any::<bool>(), any::<bool>()).prop_map(|(lan, internet)| Entity::Scopes(ScopeSet {
            localhost: !lan && !internet,
            lan,
            internet
        })),
        domains,
        Just(Entity::Country(Country::of_code("AT").expect("a country"))),
    ]
}

fn rules() -> impl Strategy<Value = Rule> {
    let ports =
        prop_oneof![Just(None), (1..4u16, 0..3u16).prop_map(|(a, more)| Some((a, a + more)))];
    let protocol = prop_oneof![Just(None), Just(Some(Protocol::TCP)), Just(Some(Protocol::UDP))];
    let service = prop_oneof![
        Just(None),
        (protocol, ports).prop_map(|(protocol, ports)| Some(Service { protocol, ports }))
    ];
    let permission = prop_oneof![Just(Permission::Permit), Just(Permission::Deny)];
    (permission, entities(), service, only()).prop_map(|(permission, entity, service, only)| Rule {
        permission,
        entity,
        service,
        when: When::default(),
        only,
        is_active: true,
        text: Arc::from("a rule"),
    })
}

/// Mostly nothing, and now and then one of few users.
fn only() -> impl Strategy<Value = Option<Arc<Only>>> {
    let user = |id| UserMatch { name: None, id: Some(id) };
    proptest::option::weighted(0.2, 0..3_u32)
        .prop_map(move |id| id.map(|id| Arc::new(Only { user: Some(user(id)), ..Only::default() })))
}

fn by_going_through<'a>(rules: &'a [Rule], subject: &Subject<'_>) -> Option<(u32, &'a Rule)> {
    (1..).zip(rules).find(|(_, rule)| rule.matches(subject))
}

proptest! {
    #[test]
    fn a_long_list_finds_what_going_through_it_finds(
        list in proptest::collection::vec(rules(), SHORT + 1..4 * SHORT),
        address in proptest::option::of(addresses()),
        name in proptest::option::of(names()),
        alias in names(),
        protocol in proptest::sample::select(vec![None, Some(Protocol::TCP), Some(Protocol::ICMP)]),
        port in proptest::sample::select(vec![Port::Absent, Port::Unseen, Port::Is(1), Port::Is(3)]),
        user in proptest::sample::select(vec![User::Unknown, User::Nobody, User::Is(0), User::Is(2)]),
    ) {
        let aliases = [alias.as_str()];
        let subject = Subject {
            address,
            name: name.as_deref(),
            alias_of: if name.is_some() { &aliases } else { &[] },
            protocol,
            port,
            user,
            interface: None,
        };
        // Each of the rest, too: the first few rules of such lists match nearly everything.
        for from in 0..list.len() {
            let rest = Rules::from(list[from..].to_vec());
            prop_assert_eq!(rest.first_match(&subject, |_| true), by_going_through(&rest, &subject));
        }
    }
}

#[test]
fn only_rules_that_apply_count() {
    let rule = |permission| Rule {
        permission,
        entity: Entity::Any,
        service: None,
        when: When::default(),
        only: None,
        is_active: true,
        text: Arc::from("a rule"),
    };
    let list: Rules = std::iter::repeat_n(rule(Permission::Deny), 2 * SHORT)
        .chain([rule(Permission::Permit)])
        .collect();
    let permits = |rule: &Rule| rule.permission == Permission::Permit;
    let found = list.first_match(&Subject::default(), permits).map(|(position, _)| position);
    assert_eq!(found, Some(2 * SHORT as u32 + 1));
}
