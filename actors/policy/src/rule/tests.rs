//! What is a rule, what is none and why, and what a rule matches.

use proptest::prelude::*;
use seawall_messages::rule::{
    Boot, Continent, Country, DAY_MINUTES, DomainForm, End, Entity, InNetwork, InterfaceMatch,
    Moment, Only, Permission, Port, Present, Run, ScopeSet, Service, Subject, User, UserMatch,
    Weekly, When,
};
use seawall_messages::{Direction, Flow, Protocol, Transport};

use super::*;

#[test]
fn canonical_rules_print_as_they_were_written() {
    let lines = [
        "- *",
        "+ *",
        "+ 127.0.0.1",
        "+ 192.168.0.1",
        "+ ::1",
        "+ 2606:4700:4700::1111",
        "+ 127.0.0.0/8",
        "+ 192.168.0.0/24",
        "+ 2606:4700:4700::/48",
        "- *bad*",
        "- bad*",
        "- *bad.com",
        "- .bad.com",
        "- bad.com",
        "- www.bad.com.",
        "- www.bad.com",
        "+ .at",
        "+ .at.",
        "+ 1.at",
        "+ 1.at.",
        "+ 1.f.ix.de.",
        "+ *contains*",
        "+ *has.suffix",
        "+ *.has.suffix",
        "+ *has.prefix*",
        "+ *has.prefix.*",
        "+ a_b.com",
        "+ _dmarc.example.com",
        "+ de",
        "+ DE",
        "+ AT",
        "+ CH",
        "+ AS",
        "+ AS1",
        "+ AS12345",
        "+ AS4294967295",
        "+ C:EU",
        "+ C:AS",
        "+ L:A,B,C",
        "- L:17-MAL",
        "- .example.com TCP/HTTPS",
        "+ 0.0.0.0/0",
        "+ ::/0",
        "+ Localhost",
        "+ LAN",
        "+ Internet",
        "+ Localhost,LAN,Internet",
        "+ * TCP/1-1024",
        "+ * */DNS",
        "+ * ICMP",
        "+ * 127",
        "+ * UDP/1234",
        "+ * TCP/HTTP",
        "+ * TCP/80-443",
        "- * TCP/FTP-DATA",
        "- LAN UDP-LITE/1",
        "- * SCTP/65535",
        "- * network=home",
        "- * network!=home",
        "- * user=alice",
        "- * TCP/SSH off during=Mon network=home-5.x user=1000",
        "- * user=www-data",
        "- * user=4294967295",
        "- * user=EXAMPLE.COM$",
        "- * interface=eth0",
        "- * TCP/SSH until=restart network=home",
        "+ * TCP/SSH until=exit network=home",
        "+ LAN TCP/SSH network=home user=1000 interface=wl*",
    ];
    for line in lines {
        assert_eq!(&*parse(line).expect(line).text, line);
    }
}

#[test]
fn other_spellings_print_canonically() {
    let cases = [
        ("+ 192.168.0.77/24", "+ 192.168.0.0/24"),
        ("+ ::ffff:10.0.0.1", "+ 10.0.0.1"),
        ("+ ::ffff:10.1.2.3/104", "+ 10.0.0.0/8"),
        ("+ 2001:DB8:0:0::1", "+ 2001:db8::1"),
        ("+ internet,LOCALHOST", "+ Localhost,Internet"),
        ("+ * 6/80", "+ * TCP/HTTP"),
        ("+ * tcp/ssh", "+ * TCP/SSH"),
        ("+ * */53", "+ * */DNS"),
        ("+ * TCP/http-https", "+ * TCP/80-443"),
        ("+ * TCP/ftp-data-ftp", "+ * TCP/20-21"),
        ("+ * TCP/19-ftp-data", "+ * TCP/19-20"),
        ("+ * TCP/80-80", "+ * TCP/HTTP"),
        ("+ * icmpv6", "+ * ICMP6"),
        ("+ .Example.COM", "+ .example.com"),
        ("+ example.com # note", "+ example.com"),
        ("+ example.com tcp/80 #x", "+ example.com TCP/HTTP"),
        ("+ AS007", "+ AS7"),
        ("- * off # for now", "- * off"),
        ("- * TCP until=2026-12-24T18:00:00+01:00", "- * TCP until=2026-12-24T17:00:00Z"),
        ("- * during=mon-fri,09:00-17:00 off", "- * off during=Mon-Fri,09:00-17:00"),
        ("- * during=Tue,Mon,Sun", "- * during=Mon,Tue,Sun"),
        ("- * during=Sat-Mon", "- * during=Mon,Sat,Sun"),
        ("- * during=Mon-Sun", "- * during=00:00-24:00"),
        ("- * TCP/80 during=22:00-06:00", "- * TCP/HTTP during=22:00-06:00"),
        ("+ * 27", "+ * RDP"),
        ("  -\t10.0.0.5   TCP/80 # the printer", "- 10.0.0.5 TCP/HTTP"),
        ("- * #all of it", "- *"),
        ("- * user=alice network=home off", "- * off network=home user=alice"),
        ("- * user=007", "- * user=7"),
        ("- * during=Mon until=restart@0fcbee07bad8", "- * until=restart during=Mon"),
        ("+ * during=Mon until=exit@1-2-0fcbee07bad8", "+ * until=exit during=Mon"),
    ];
    for (line, printed) in cases {
        assert_eq!(&*parse(line).expect(line).text, printed, "{line}");
    }
}

#[test]
fn errors_point_at_the_part_that_is_wrong() {
    // Line, offending part, a word of what was found, a word of what was expected.
    let cases = [
        ("", "", "empty rule", "`+`, `-` or `?`"),
        ("# nothing else", "", "empty rule", "`+`, `-` or `?`"),
        ("* x", "*", "`*`", "to permit"),
        ("permit *", "permit", "`permit`", "`-` to deny"),
        ("+* TCP", "+", "`+*`", "a space"),
        ("+", "", "nothing after the sign", "whom"),
        ("+ * TCP b", "b", "`b`", "end of the rule"),
        ("+ * TCP/80 # x\u{7}", "", "", ""),
        ("+ 10.0.0.*", "10.0.0.*", "`10.0.0.*`", "10.0.0.0/24"),
        ("+ 10.0.0.1.", "10.0.0.1.", "`10.0.0.1.`", "whole address"),
        ("+ 10.0.0.256", "10.0.0.256", "`10.0.0.256`", "whole address"),
        ("+ 1234", "1234", "`1234`", "whole address"),
        ("+ 10.0.0.0/33", "33", "`33`", "0 to 32"),
        ("+ ::/129", "129", "`129`", "0 to 128"),
        ("+ 10.0.0.0/", "", "nothing after the /", "prefix"),
        ("+ 10.0.0.0/+8", "+8", "`+8`", "prefix"),
        ("+ 10.0.0/8", "10.0.0", "`10.0.0`", "an address before"),
        ("+ lan,LAN", "LAN", "`LAN` again", "each scope once"),
        ("+ lan,", "", "empty scope", "localhost, lan or internet"),
        ("+ lan,wan", "wan", "`wan`", "localhost, lan or internet"),
        ("?*", "?", "`?*`", "a space"),
        ("! *", "!", "`!`", "`?` to ask"),
        ("- * off off", "off", "`off` again", "once"),
        ("- * untl=2026-12-24", "untl", "`untl`", "until=, perhaps"),
        ("- * =x", "", "``", "until=…"),
        ("- * until=", "", "no time", "2026-12-24"),
        ("- * until=2026-13-01", "2026-13-01", "`2026-13-01`", "a date"),
        ("- * until=tomorrow", "tomorrow", "`tomorrow`", "a date"),
        ("- * until=reboot", "reboot", "`reboot`", "or restart, or exit"),
        ("- * until=restart@", "restart@", "`restart@`", "or restart"),
        ("- * until=exit@", "exit@", "`exit@`", "or exit"),
        ("- * until=exit@1-2", "exit@1-2", "`exit@1-2`", "or exit"),
        ("- * until=exit until=restart", "until=restart", "`until` again", "once"),
        ("- * until=restart until=restart", "until=restart", "`until` again", "once"),
        ("- * until=2026-12-24 until=2026-12-25", "until=2026-12-25", "`until` again", "once"),
        ("- * during=", "", "nothing", "days such as"),
        ("- * during=Mon-Fri,Moon", "Moon", "`Moon`", "days such as"),
        ("- * during=25:00-26:00", "25:00-26:00", "`25:00-26:00`", "a time of day"),
        ("- * during=09:00-09:00", "09:00-09:00", "`09:00-09:00`", "lasts"),
        ("- * during=09:00-10:00,11:00-12:00", "11:00-12:00", "a second time", "one time"),
        ("- * netwrk=home", "netwrk", "`netwrk`", "network=, perhaps"),
        ("- * network=", "", "no network", "[[network]]"),
        ("- * network!=", "", "no network", "[[network]]"),
        ("- * network=a,b", "a,b", "`a,b`", "[[network]]"),
        ("- * network=a network!=b", "network!=b", "`network` again", "once"),
        ("- * user=", "", "no user", "user id"),
        ("- * user=1x", "1x", "`1x`", "user id"),
        ("- * user=-1", "-1", "`-1`", "user id"),
        ("- * user=4294967296", "4294967296", "`4294967296`", "user id"),
        ("- * user=a/b", "a/b", "`a/b`", "the name of a user"),
        ("- * interface=", "", "no interface", "eth0"),
        ("- * interface=a/b", "a/b", "`a/b`", "eth0"),
        ("- * interface=0123456789abcdef", "0123456789abcdef", "`0123", "15 bytes"),
        ("- * interface=a interface=b", "interface=b", "`interface` again", "once"),
        ("- * user=a user=b", "user=b", "`user` again", "once"),
        ("- * off TCP", "TCP", "`TCP`", "end of the rule"),
        ("+ UK", "UK", "`UK`", "GB, perhaps"),
        ("+ EU", "EU", "`EU`", "C:EU"),
        ("+ QQ", "QQ", "`QQ`", "ISO 3166"),
        ("+ C:EX", "EX", "`EX`", "AF, AN, AS, EU"),
        ("+ AS4294967296", "4294967296", "`4294967296`", "of an AS"),
        ("+ L:", "", "no filter list", "TRAC"),
        ("+ L:MAL,", "", "no filter list", "TRAC"),
        ("+ L:MAL,TRAC,MAL", "MAL", "`MAL` again", "once"),
        ("+ L:MA_L", "MA_L", "`MA_L`", "the id of a filter list"),
        ("+ .", ".", "`.`", "a name"),
        ("+ *.*", "*.*", "", ""),
        ("+ **", "**", "`**`", "a name such as"),
        ("+ *a*b*", "*a*b*", "`*a*b*`", "a name such as"),
        ("+ .a*", ".a*", "`.a*`", "a star before it"),
        ("+ .sub.and.prefix.*", ".sub.and.prefix.*", "`.sub.and", "a star before it"),
        ("+ *.sub..and.prefix.*", "*.sub..and.prefix.*", "`*.sub..", "no name has"),
        ("+ a..com", "a..com", "`a..com`", "1 to 63"),
        ("+ *a_b*", "*a_b*", "`*a_b*`", "letters"),
        ("+ b\u{fc}cher.example", "b\u{fc}cher.example", "`b\u{fc}cher", "xn--"),
        ("+ http://example.com", "http:", "`http:`", "before the /"),
        ("+ example.com/path", "example.com", "`example.com`", "before the /"),
        ("+ intrenet", "intrenet", "`intrenet`", "the scope internet, perhaps"),
        ("+ ! example.com", "!", "`!`", "an address"),
        ("+ fe80::1%eth0", "fe80::1%eth0", "`fe80", "an address"),
        ("+ a b c", "b", "`b`", "a protocol"),
        ("+ * 256", "256", "`256`", "0 to 255"),
        ("+ * TPC", "TPC", "`TPC`", "protocol"),
        ("+ * UPD/53", "UPD", "`UPD`", "protocol"),
        ("+ * *", "*", "without a port", "*/port"),
        ("+ * /80", "", "no protocol", "protocol"),
        ("+ * TCP/", "", "nothing after the /", "a port"),
        ("+ * */", "", "nothing after the /", "a port"),
        ("+ * TCP/*", "*", "`*`", "a port"),
        ("+ * TCP/0", "0", "`0`", "1 to 65535"),
        ("+ * TCP/65536", "65536", "`65536`", "1 to 65535"),
        ("+ * TCP/80-", "80-", "`80-`", "a range"),
        ("+ * TCP/80-x", "x", "`x`", "a port"),
        ("+ * TCP/x-80", "x", "`x`", "a port"),
        ("+ * TCP/1-2-3", "2-3", "`2-3`", "a range"),
        ("+ * TCP/80/1", "80/1", "`80/1`", "a port"),
        ("+ * TCP/90-80", "90-80", "ends before it begins", "80-90"),
        ("+ * ICMP/8", "/8", "a port", "TCP"),
        ("+ * TCP/８０", "８０", "`８０`", "a port"),
    ];
    for (line, part, found, expected) in cases {
        let Err(error) = parse(line) else {
            assert_eq!(expected, "", "{line} is a rule");
            continue;
        };
        assert_eq!(&line[error.span.clone()], part, "{line}");
        assert!(error.found.contains(found), "{line}: found {}", error.found);
        assert!(error.expected.contains(expected), "{line}: expected {}", error.expected);
    }
}

#[test]
fn an_error_is_printed_with_carets_under_the_part() {
    let error = parse("- 10.0.0.5 TCP/http-x").expect_err("a bad port");
    assert_eq!(
        error.to_string(),
        "found `x`; expected a port of 1 to 65535, its name (HTTP, SSH …) or a range\n    \
         - 10.0.0.5 TCP/http-x\n                        ^"
    );
}

#[test]
fn a_rule_has_a_longest_length() {
    let line = format!("- * #{}", "x".repeat(MAX_RULE_BYTES));
    assert!(parse(&line).expect_err("too long").expected.contains("1024"));
    assert!(parse(&line[..MAX_RULE_BYTES]).is_ok());
}

fn flow(responder: &str, protocol: u8, transport: Transport) -> Flow {
    Flow {
        direction: Direction::Outbound,
        protocol: Protocol(protocol),
        initiator: "192.168.1.2".parse().expect("an address"),
        responder: responder.parse().expect("an address"),
        transport,
    }
}

#[test]
fn rules_match_their_flows() {
    let port = |responder| Transport::Ports { initiator: 40_000, responder };
    let icmp = Transport::Icmp { kind: 8, code: 0, identifier: 1 };
    let cut = Transport::Truncated;
    let cases = [
        ("+ *", "10.2.3.4", 6, port(443), true),
        ("+ 10.2.3.4", "10.2.3.4", 17, port(443), true),
        ("+ 10.2.3.4", "::ffff:10.2.3.4", 17, port(443), true),
        ("+ 10.2.3.4", "10.2.3.3", 6, port(443), false),
        ("+ 10.2.3.0/24", "10.2.2.4", 6, port(443), false),
        ("+ 10.2.3.0/24", "10.2.3.4", 6, port(443), true),
        ("+ 10.2.3.0/24", "10.2.4.4", 6, port(443), false),
        ("+ Localhost,LAN", "192.168.0.1", 6, port(443), true),
        ("+ Localhost,LAN", "151.101.1.164", 6, port(443), false),
        ("+ LAN", "224.0.0.251", 17, port(5353), true),
        ("+ LAN", "255.255.255.255", 17, port(67), true),
        ("+ Internet", "230.1.1.1", 17, port(1), true),
        ("+ Localhost,LAN,Internet", "192.0.2.1", 6, port(443), false),
        ("+ * UDP", "10.2.3.4", 6, port(443), false),
        ("+ * UDP", "10.2.3.4", 17, port(443), true),
        ("+ * 17/442-444", "10.2.3.4", 17, port(441), false),
        ("+ * 17/442-444", "10.2.3.4", 17, port(442), true),
        ("+ * 17/442-444", "10.2.3.4", 17, port(444), true),
        ("+ * 17/442-444", "10.2.3.4", 17, port(445), false),
        ("+ * */443", "10.2.3.4", 6, port(443), true),
        ("+ * */443", "10.2.3.4", 1, icmp, false),
        ("+ * ICMP", "10.2.3.4", 1, icmp, true),
        ("+ * ICMP", "10.2.3.4", 1, cut, true),
        ("- * */443", "10.2.3.4", 1, cut, false),
        ("+ * TCP/443", "10.2.3.4", 6, cut, false),
        ("- * TCP/443", "10.2.3.4", 6, cut, true),
        ("- * UDP/443", "10.2.3.4", 6, cut, false),
        ("+ * TCP", "10.2.3.4", 6, cut, true),
        ("+ * */443", "10.2.3.4", 6, cut, false),
        ("- * */443", "10.2.3.4", 6, cut, true),
        // The chain of extension headers goes on beyond what was seen.
        ("+ * TCP", "2001:db8::1", 60, cut, false),
        ("- * TCP/443", "2001:db8::1", 60, cut, true),
        ("- 2001:db8::2 TCP/443", "2001:db8::1", 60, cut, false),
    ];
    for (line, responder, protocol, transport, expected) in cases {
        let rule = parse(line).expect(line);
        let flow = flow(responder, protocol, transport);
        assert_eq!(rule.matches(&Subject::from(&flow)), expected, "{line} and {flow}");
    }
}

#[test]
fn rules_about_names_match_them() {
    // Rule, name, protocol and port, whether it matches.
    let ip = "10.2.3.4".parse().ok();
    let cases = [
        ("+ *", "example.com.", None, true),
        ("+ *example.com", "example.com.", None, true),
        ("+ *example.com", "abc.example.com.", None, true),
        ("+ *example.com", "abc-example.com.", None, true),
        ("+ *.example.com", "example.com.", None, false),
        ("+ *.example.com", "abc.example.com.", None, true),
        ("+ *.example.com", "abc-example.com.", None, false),
        ("+ .example.com", "example.com.", None, true),
        ("+ .example.com", "abc.example.com.", None, true),
        ("+ .example.com", "abc-example.com.", None, false),
        ("+ .at", "orf.at.", None, true),
        ("+ .at", "at.", None, true),
        ("+ .at", "cat.", None, false),
        ("+ example.com", "example.com.", None, true),
        ("+ example.com", "www.example.com.", None, false),
        ("+ example.*", "example.com.", None, true),
        ("+ example.*", "abc.example.com.", None, false),
        ("+ *.exampl*", "example.com.", None, false),
        ("+ *.exampl*", "abc.example.com.", None, true),
        ("+ *.com.", "example.com.", None, true),
        ("+ *.com.", "example.org.", None, false),
        ("+ example.com UDP", "example.com.", Some((6, 443)), false),
        ("+ example.com UDP", "example.com.", Some((17, 443)), true),
        ("+ example.com UDP", "example.com.", None, false),
        ("+ example.com 17/442-444", "example.com.", Some((17, 441)), false),
        ("+ example.com 17/442-444", "example.com.", Some((17, 442)), true),
        ("+ example.com 17/442-444", "example.com.", Some((17, 444)), true),
        ("+ example.com 17/442-444", "example.com.", Some((17, 445)), false),
        ("+ example.com 17/442-444", "example.com.", None, false),
    ];
    for (line, name, service, expected) in cases {
        let rule = parse(line).expect(line);
        let (protocol, port) = match service {
            Some((protocol, port)) => (Some(Protocol(protocol)), Port::Is(port)),
            None => (None, Port::Absent),
        };
        for address in [None, ip] {
            let subject =
                Subject { address, name: Some(name), protocol, port, ..Subject::default() };
            assert_eq!(rule.matches(&subject), expected, "{line} and {name} {address:?}");
        }
    }
    let domain_only = Subject { name: Some("example.com."), ..Subject::default() };
    assert!(!parse("+ 10.2.3.4").expect("a rule").matches(&domain_only));
}

#[test]
fn a_name_is_denied_by_what_it_is_an_alias_of_but_not_permitted() {
    let subject =
        Subject { name: Some("cdn.site.com."), alias_of: &["tracker.com."], ..Subject::default() };
    for (line, expected) in [("- tracker.com", true), ("+ tracker.com", false)] {
        assert_eq!(parse(line).expect(line).matches(&subject), expected, "{line}");
    }
}

#[test]
fn rules_that_need_what_is_not_there_decide_nothing() {
    use seawall_messages::rule::Data::{FilterLists, Geography, Names};
    use seawall_messages::rule::Match::{Lacks, No};
    let cases = [
        ("- DE", "8.8.8.8", Lacks(Geography)),
        ("+ DE", "192.168.0.1", No),
        ("+ C:EU", "8.8.8.8", Lacks(Geography)),
        ("+ AS15169", "8.8.8.8", Lacks(Geography)),
        ("+ AS15169 UDP", "8.8.8.8", No),
        ("- L:MAL", "8.8.8.8", Lacks(FilterLists)),
        ("- example.com", "8.8.8.8", Lacks(Names)),
    ];
    for (line, address, expected) in cases {
        let rule = parse(line).expect(line);
        let flow = flow(address, 6, Transport::Ports { initiator: 1, responder: 443 });
        assert_eq!(rule.judge(&Subject::from(&flow)), expected, "{line} and {address}");
    }
}

#[test]
fn names_are_compared_as_the_dns_writes_them() {
    let cases = [
        ("- *bad*", DomainForm::Contains, "bad"),
        ("- bad*", DomainForm::Prefix, "bad"),
        ("- *bad.com", DomainForm::Suffix, "bad.com."),
        ("- .bad.com", DomainForm::Zone, "bad.com."),
        ("- bad.com", DomainForm::Exact, "bad.com."),
        ("- www.bad.com.", DomainForm::Exact, "www.bad.com."),
        ("- www.bad.com", DomainForm::Exact, "www.bad.com."),
    ];
    for (line, form, text) in cases {
        let Entity::Domain(pattern) = parse(line).expect(line).entity else {
            panic!("{line} is about a name");
        };
        assert_eq!((pattern.form, &*pattern.text), (form, text), "{line}");
    }
}

fn entities() -> impl Strategy<Value = Entity> {
    let scopes = (any::<bool>(), any::<bool>(), any::<bool>())
        .prop_filter("some scope", |(localhost, lan, internet)| *localhost || *lan || *internet)
        .prop_map(|(localhost, lan, internet)| {
            Entity::Scopes(ScopeSet { localhost, lan, internet })
        });
    let networks = (any::<std::net::IpAddr>(), 0..=128u8).prop_map(|(address, length)| {
        let address = address.to_canonical();
        let length = if address.is_ipv4() { length % 33 } else { length };
        Entity::Network(ipnet::IpNet::new(address, length).expect("a network").trunc())
    });
    prop_oneof![
        Just(Entity::Any),
        any::<std::net::IpAddr>().prop_map(|address| Entity::Address(address.to_canonical())),
        networks,
        scopes,
        named(),
        any::<u32>().prop_map(Entity::AutonomousSystem),
        proptest::sample::select(Continent::ALL.to_vec()).prop_map(Entity::Continent),
        proptest::sample::select(vec!["AT", "AS", "XK"])
            .prop_map(|code| Entity::Country(Country::of_code(code).expect("a country"))),
        proptest::collection::btree_set("[A-Za-z0-9-]{1,9}", 1..4)
            .prop_map(|lists| { Entity::FilterLists(lists.into_iter().map(Arc::from).collect()) }),
    ]
}

/// Names in all forms, as the parser makes them.
fn named() -> impl Strategy<Value = Entity> {
    ("(\\*|\\.)?[a-z0-9_-]{1,8}(\\.[a-z]{1,8}){1,3}\\.?", "\\*?").prop_filter_map(
        "a name",
        |(name, star)| match parse(&format!("+ {name}{star}")).ok()?.entity {
            entity @ Entity::Domain(_) => Some(entity),
            _ => None,
        },
    )
}

fn times() -> impl Strategy<Value = When> {
    // Until the year 9000: later ones have no place in time zones.
    let until = prop_oneof![
        (0..221_845_392_000_i64).prop_map(End::Time),
        Just(End::Restart(None)),
        "[0-9a-f]{12}".prop_map(|boot| End::Restart(Boot::parse(&boot))),
        Just(End::Exit(None)),
        "[1-9][0-9]{0,8}-[1-9][0-9]{0,15}-[0-9a-f]{12}".prop_map(|run| End::Exit(Run::parse(&run))),
    ];
    let until = proptest::option::of(until);
    let during =
        proptest::option::of((1..128_u8, 0..DAY_MINUTES, 1..=DAY_MINUTES)).prop_map(|during| {
            during.filter(|(_, from, to)| from != to).map(|(days, from_minute, to_minute)| Weekly {
                days,
                from_minute,
                to_minute,
            })
        });
    (any::<bool>(), until, during).prop_map(|(off, until, during)| When { off, until, during })
}

/// Networks and users, as the parser makes them.
fn only() -> impl Strategy<Value = Option<Arc<Only>>> {
    let network = ("[a-z0-9][A-Za-z0-9._-]{0,9}", any::<bool>())
        .prop_map(|(name, inside)| InNetwork { name: Arc::from(name), inside });
    let user = prop_oneof![
        any::<u32>().prop_map(|id| UserMatch { name: None, id: Some(id) }),
        "[a-z_][a-z0-9_.-]{0,9}"
            .prop_map(|name| UserMatch { name: Some(Arc::from(name)), id: None }),
    ];
    let interface = "[a-z][a-z0-9*]{0,14}".prop_map(|pattern| InterfaceMatch::new(&pattern));
    let all = (
        proptest::option::of(network),
        proptest::option::of(user),
        proptest::option::of(interface),
    );
    all.prop_map(|(network, user, interface)| {
        let only = Only { network, user, interface };
        (!only.is_empty()).then(|| Arc::new(only))
    })
}

fn services() -> impl Strategy<Value = Option<Service>> {
    let ports = (1..=u16::MAX, 1..=u16::MAX).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let single = (1..1024u16).prop_map(|port| (port, port));
    let with_ports = prop_oneof![Just(None), Just(Some(6)), Just(Some(17)), Just(Some(136))];
    prop_oneof![
        Just(None),
        any::<u8>()
            .prop_map(|number| Some(Service { protocol: Some(Protocol(number)), ports: None })),
        (with_ports, prop_oneof![ports, single]).prop_map(|(protocol, ports)| {
            Some(Service { protocol: protocol.map(Protocol), ports: Some(ports) })
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same_rule(
        permission in prop_oneof![
            Just(Permission::Permit),
            Just(Permission::Deny),
            Just(Permission::Ask),
        ],
        entity in entities(),
        service in services(),
        when in times(),
        only in only(),
    ) {
        let text = print(permission, &entity, service, &when, only.as_deref());
        let rule = parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(&*rule.text, &text);
        prop_assert_eq!((rule.permission, rule.entity, rule.service), (permission, entity, service));
        prop_assert_eq!((rule.when, rule.only), (when.whenever_said(), only));
    }

    #[test]
    fn what_is_kept_parses_to_the_same_rule(when in times(), comment in "( #.{0,9})?") {
        let text = print(Permission::Deny, &Entity::Any, None, &when, None);
        let rule = parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let rule = Rule { when, ..rule };
        prop_assert_eq!(&parse(&kept(&rule)), &Ok(rule.clone()));
        let boot = Boot::parse("0fcbee07bad8");
        let line = format!("{text}{comment}");
        let said = said_in(&line, boot);
        prop_assert_eq!(&as_written(&said, boot), &line);
        prop_assert_eq!(&said_in(&said, Boot::parse("000000000000")), &said);
        let run = Run::parse("1-2-0fcbee07bad8").expect("a run");
        prop_assert_eq!(&as_written(&said_of(&line, run), None), &line);
    }

    #[test]
    fn a_network_contains_what_ipnet_says(
        address in any::<std::net::IpAddr>(),
        length in 0..=128u8,
        flipped in proptest::option::of(0..128u32),
    ) {
        let address = address.to_canonical();
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let network = ipnet::IpNet::new(address, length % (bits + 1)).expect("a network").trunc();
        let bit = flipped.map(|bit| bit % u32::from(bits));
        let asked: std::net::IpAddr = match address {
            std::net::IpAddr::V4(v4) => {
                std::net::Ipv4Addr::from_bits(v4.to_bits() ^ bit.map_or(0, |bit| 1 << bit)).into()
            }
            std::net::IpAddr::V6(v6) => {
                std::net::Ipv6Addr::from_bits(v6.to_bits() ^ bit.map_or(0, |bit| 1 << bit)).into()
            }
        };
        prop_assert_eq!(
            Entity::Network(network).contains(asked),
            network.contains(&asked.to_canonical())
        );
    }

    #[test]
    fn any_text_gives_a_rule_or_an_error_that_prints(line in "[-+?] [-+*a-zA-Z0-9./:,=# \t\u{e9}\u{7}]{0,40}|[-+] \\* (off|until=[-0-9TZ:+]{0,20}|until=(restart|exit)@?[0-9a-f-]{0,20}|during=[A-Za-z0-9,:-]{0,20}|network!?=[a-z0-9=._-]{0,9}|user=[a-z0-9$-]{0,9}|interface=[a-z0-9*/]{0,9}| ){0,4}|\\PC{0,40}") {
        match parse(&line) {
            Ok(rule) => prop_assert_eq!(parse(&rule.text).map(|again| again.text), Ok(rule.text)),
            Err(error) => prop_assert_eq!(error.to_string().lines().count(), 3),
        }
    }
}

#[test]
fn a_time_without_an_offset_is_this_machines() {
    let until = |text: &str| parse(text).expect(text).when.until;
    assert_eq!(until("- * until=2026-12-24"), until("- * until=2026-12-24T00:00"));
    assert_eq!(until("- * until=2026-12-24T00:00:00Z"), Some(End::Time(1_798_070_400)));
}

#[test]
fn rules_about_users_match_whose_it_is_and_deny_in_doubt() {
    let cases = [
        ("+ * user=1000", User::Is(1000), true),
        ("+ * user=1000", User::Is(1001), false),
        ("+ * user=1000", User::Unknown, false),
        ("- * user=1000", User::Unknown, true),
        ("- * user=1000", User::Nobody, false),
        ("- * user=alice", User::Is(1002), true),
        ("- * user=alice", User::Is(1000), false),
        ("- * user=nobody-here", User::Unknown, false),
        ("- 10.0.0.0/8 user=1000", User::Is(1000), false),
    ];
    let users = std::collections::BTreeMap::from([(Arc::from("alice"), 1002)]);
    let present = Present { users, ..Present::from(now()) };
    for (line, user, expected) in cases {
        let rule = parse(line).expect(line).at(&present);
        let address = "9.9.9.9".parse().ok();
        let subject = Subject { address, user, ..Subject::default() };
        assert_eq!(rule.matches(&subject), expected, "{line} {user:?}");
    }
}

#[test]
fn a_rule_counts_in_its_network_only() {
    let home = Present { networks: vec![Arc::from("home")], ..Present::from(now()) };
    let cases = [
        ("- * network=home", true),
        ("- * network!=home", false),
        ("- * network=office", false),
        ("- * network!=office", true),
        ("- * off network=home", false),
    ];
    for (line, expected) in cases {
        let rule = parse(line).expect(line);
        assert_eq!(rule.at(&home).is_active, expected, "{line}");
    }
}

#[test]
fn a_network_that_nobody_named_is_pointed_at() {
    let line = "- * network=hme user=1 # network=x";
    let rule = parse(line).expect("a rule");
    let known = [Arc::from("home")];
    let error = unknown_network(line, &rule, &known).expect("unknown");
    assert_eq!((&line[error.span.clone()], &*error.expected), ("hme", "`home`, perhaps"));
    assert_eq!(unknown_network(line, &rule, &[Arc::from("hme")]), None);
}

#[test]
fn a_rule_that_does_not_count_matches_nothing() {
    let rule = parse("- * off").expect("a rule");
    assert!(rule.matches(&Subject::default()), "as it is read");
    let present = Present::from(now());
    assert!(!rule.at(&present).matches(&Subject::default()));
    let over = parse("- * until=2001-01-01").expect("a rule");
    assert!(!over.at(&present).matches(&Subject::default()));
    let lasting = parse("- * until=2999-01-01").expect("a rule");
    assert!(lasting.at(&present).matches(&Subject::default()));
}

#[test]
fn a_rule_until_the_restart_is_of_the_run_in_which_it_was_said() {
    let (this, other) = (Boot::parse("0fcbee07bad8"), Boot::parse("000000000000"));
    let line = "- *  until=restart off # until=restart";
    let said = said_in(line, this);
    assert_eq!(said, "- *  until=restart@0fcbee07bad8 off # until=restart");
    assert_eq!(said_in(line, None), line);
    assert_eq!(as_written(&said, this), line);
    assert_eq!(as_written(&said, other), said, "it would count again");
    for untouched in ["nonsense until=restart", "- * # until=restart", "- * until=2026-12-24"] {
        assert_eq!(said_in(untouched, this), untouched);
        assert_eq!(as_written(untouched, this), untouched);
    }
    let rule = parse("- * until=restart@0fcbee07bad8").expect("a rule");
    let in_run = |boot| Present::from(Moment { boot, ..now() });
    assert!(rule.at(&in_run(this)).is_active);
    assert!(!rule.at(&in_run(other)).is_active);
    assert_eq!(rule.at(&in_run(other)).why_not(), "the machine was restarted since");
}

#[test]
fn in_a_file_the_restart_is_pointed_at() {
    for end in ["restart", "restart@0fcbee07bad8"] {
        let line = format!("- * off until={end} # until=restart");
        let rule = parse(&line).expect("a rule");
        let error = restart_in_file(&line, &rule).expect("not in a file");
        assert_eq!(&line[error.span.clone()], end);
        assert!(error.expected.contains("seawall rule add"), "{error}");
    }
    let rule = parse("- * until=2026-12-24").expect("a rule");
    assert_eq!(restart_in_file("- * until=2026-12-24", &rule), None);
}

#[test]
fn a_rule_until_the_app_ends_is_of_the_run_of_which_it_was_said() {
    let run = Run::parse("1234-567890-0fcbee07bad8").expect("a run");
    let line = "+ *  until=exit off # until=exit";
    let said = said_of(line, run);
    assert_eq!(said, "+ *  until=exit@1234-567890-0fcbee07bad8 off # until=exit");
    assert!(ends_with_app(line) && ends_with_app(&said));
    assert_eq!(as_written(&said, None), line, "people need not see of which");
    let other = Run { pid: 7, ..run };
    assert_eq!(said_of(&said, other), "+ *  until=exit@7-567890-0fcbee07bad8 off # until=exit");
    for untouched in ["- * # until=exit", "- * until=restart"] {
        assert!(!ends_with_app(untouched));
        assert_eq!(
            (said_of(untouched, run), as_written(untouched, None)),
            (untouched.to_owned(), untouched.to_owned())
        );
    }
    let rule = parse("+ * until=exit@1234-567890-0fcbee07bad8").expect("a rule");
    let moment = Moment { boot: Some(run.boot), ..now() };
    let while_runs = |runs| Present { runs, ..Present::from(moment) };
    assert!(rule.at(&while_runs(vec![other, run])).is_active);
    let over = rule.at(&while_runs(vec![other]));
    assert!(!over.is_active);
    assert_eq!(over.why_not(), "the app has ended since");
    let rebooted = Present { runs: vec![run], ..Present::from(Moment { boot: None, ..moment }) };
    assert!(!rule.at(&rebooted).is_active, "another run of the machine");
    assert!(parse("+ * until=exit").expect("a rule").at(&while_runs(Vec::new())).is_active);
}

#[test]
fn anywhere_but_in_a_command_about_an_app_its_end_is_pointed_at() {
    for end in ["exit", "exit@1-2-0fcbee07bad8"] {
        let line = format!("- * off until={end} # until=exit");
        let rule = parse(&line).expect("a rule");
        let error = exit_elsewhere(&line, &rule).expect("not there");
        assert_eq!(&line[error.span.clone()], end);
        assert!(error.expected.contains("seawall rule add --app"), "{error}");
    }
    let rule = parse("- * until=restart").expect("a rule");
    assert_eq!(exit_elsewhere("- * until=restart", &rule), None);
}
