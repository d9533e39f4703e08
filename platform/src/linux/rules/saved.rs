//! What `iptables-save` tells about our rules, and the `iptables-restore`
//! text that gets from there to what is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::tables::{self, CHAIN_PREFIX, Place, Table};

/// Our traces in the tables of one family.
#[derive(Clone, Debug, Default)]
pub(super) struct Saved {
    tables: BTreeMap<String, SavedTable>,
    /// Built-in chains, each with its table, whose policy is something else than ACCEPT.
    strict: BTreeSet<(String, String)>,
}

/// Our traces in one table.
#[derive(Clone, Debug, Default)]
struct SavedTable {
    /// Our chains, each with its rules as printed.
    chains: BTreeMap<String, Vec<String>>,
    /// Rules in foreign chains that lead to ours.
    jumps: Vec<Jump>,
}

#[derive(Clone, Debug)]
struct Jump {
    /// The chain that it is in.
    from: String,
    is_first: bool,
    is_last: bool,
    /// As printed, without the leading `-A CHAIN`.
    rule: String,
}

/// In which order the tables change. They change one after the other with
/// legacy tables, and at once with nft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// What enforces verdicts before what makes them, the backstop last: a first install.
    EnforceFirst,
    /// What makes verdicts first: a change of epoch.
    JudgeFirst,
}

impl Saved {
    /// Reads what `iptables-save` printed. Lines that it doesn't know are none of ours.
    pub(super) fn parse(text: &str) -> Self {
        let mut saved = Self::default();
        let mut table = String::new();
        let mut begun: BTreeSet<String> = BTreeSet::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('*') {
                table = name.trim().to_owned();
                begun.clear();
            } else if let Some(chain) = line.strip_prefix(':') {
                let mut words = chain.split_whitespace();
                let name = words.next().unwrap_or_default();
                if name.starts_with(CHAIN_PREFIX) {
                    saved.table(&table).chains.entry(name.to_owned()).or_default();
                } else if !matches!(words.next(), Some("-" | "ACCEPT")) {
                    saved.strict.insert((table.clone(), name.to_owned()));
                }
            } else if let Some((chain, rule)) =
                line.strip_prefix("-A ").and_then(|rule| rule.split_once(' '))
            {
                if chain.starts_with(CHAIN_PREFIX) {
                    let chains = &mut saved.table(&table).chains;
                    chains.entry(chain.to_owned()).or_default().push(rule.to_owned());
                    continue;
                }
                let is_first = begun.insert(chain.to_owned());
                let known = saved.tables.get_mut(&table).into_iter().flat_map(|t| &mut t.jumps);
                known.filter(|jump| jump.from == chain).for_each(|jump| jump.is_last = false);
                if leads_to_us(rule) {
                    let (from, rule) = (chain.to_owned(), rule.to_owned());
                    let jump = Jump { from, is_first, is_last: true, rule };
                    saved.table(&table).jumps.push(jump);
                }
            }
        }
        saved
    }

    /// Whether there is any rule or chain of ours.
    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Whether any packet is led to our judgement.
    pub(super) fn judges(&self) -> bool {
        self.tables.get("mangle").is_some_and(|mangle| !mangle.jumps.is_empty())
    }

    /// Whether a packet that comes back from our judgement has nothing more to
    /// meet in its chain: no rule of others, no policy but ACCEPT.
    pub(super) fn nothing_behind(&self) -> bool {
        self.tables.get("mangle").is_some_and(|mangle| {
            mangle.jumps.iter().all(|jump| {
                jump.is_last && !self.strict.contains(&("mangle".to_owned(), jump.from.clone()))
            })
        })
    }

    /// Whether these tables stand: every jump there once and in its place, every
    /// chain there with as many rules, and no other chain or jump of ours.
    pub(super) fn has(&self, tables: &[Table]) -> bool {
        self.tables.len() == tables.len()
            && tables
                .iter()
                .all(|table| self.tables.get(table.name).is_some_and(|saved| saved.has(table)))
    }

    /// Whether the rules of our chains are the same.
    pub(super) fn has_chains_of(&self, other: &Self) -> bool {
        let chains = |(name, table): (&String, &SavedTable)| (name.clone(), table.chains.clone());
        self.tables.iter().map(chains).eq(other.tables.iter().map(chains))
    }

    /// Only the chains of that name.
    pub(super) fn only_chain(&self, name: &str) -> Self {
        let only = |table: &SavedTable| {
            let (name, rules) = table.chains.get_key_value(name)?;
            let chains = BTreeMap::from([(name.clone(), rules.clone())]);
            Some(SavedTable { chains, jumps: Vec::new() })
        };
        let tables =
            self.tables.iter().filter_map(|(name, table)| Some((name.clone(), only(table)?)));
        Self { tables: tables.collect(), strict: BTreeSet::new() }
    }

    fn table(&mut self, name: &str) -> &mut SavedTable {
        self.tables.entry(name.to_owned()).or_default()
    }
}

impl SavedTable {
    fn has(&self, table: &Table) -> bool {
        let jumps = self.jumps.len() == table.jumps.len()
            && table.jumps.iter().all(|wanted| self.jumps.iter().any(|jump| jump.is(wanted)));
        let chains = self.chains.len() == table.chains.len()
            && table.chains.iter().all(|chain| {
                self.chains.get(chain.name).is_some_and(|rules| rules.len() == chain.rules.len())
            });
        jumps && chains
    }
}

impl Jump {
    fn is(&self, wanted: &tables::Jump) -> bool {
        let in_place = match wanted.place {
            Place::First => self.is_first,
            Place::Last => self.is_last,
        };
        in_place && self.from == wanted.from && self.rule == format!("-j {}", wanted.to)
    }
}

/// What turns `saved` into `tables`, for `iptables-restore --noflush`. Each
/// table changes at once: there is no moment without our rules, and no rule of
/// others is touched. Fails without any change if `saved` is no longer true.
pub(super) fn install(tables: &[Table], saved: &Saved, order: Order) -> String {
    let rank = |table: &Table| match (order, table.name) {
        (_, "raw") => 0,
        (Order::EnforceFirst, "filter") | (Order::JudgeFirst, "mangle") => 1,
        (_, "security") => 3,
        _ => 2,
    };
    let mut ordered: Vec<&Table> = tables.iter().collect();
    ordered.sort_by_key(|table| rank(table));

    let mut text = String::new();
    for table in ordered {
        let empty = SavedTable::default();
        let old = saved.tables.get(table.name).unwrap_or(&empty);
        line(&mut text, format_args!("*{}", table.name));
        for chain in &table.chains {
            line(&mut text, format_args!(":{} - [0:0]", chain.name));
        }
        delete_jumps(&mut text, old);
        for tables::Jump { from, to, place } in &table.jumps {
            match place {
                Place::First => line(&mut text, format_args!("-I {from} 1 -j {to}")),
                Place::Last => line(&mut text, format_args!("-A {from} -j {to}")),
            }
        }
        for chain in &table.chains {
            for rule in &chain.rules {
                line(&mut text, format_args!("-A {} {rule}", chain.name));
            }
        }
        let wanted = |name: &str| table.chains.iter().any(|chain| chain.name == name);
        delete_chains(&mut text, old.chains.keys().filter(|name| !wanted(name)));
        line(&mut text, format_args!("COMMIT"));
    }
    let wanted = |name: &str| tables.iter().any(|table| table.name == name);
    for (name, table) in saved.tables.iter().filter(|(name, _)| !wanted(name)) {
        remove_from(&mut text, name, table);
    }
    text
}

/// What takes away everything of ours, the backstop first.
pub(super) fn removal(saved: &Saved) -> String {
    let rank = |name: &str| match name {
        "security" => 0,
        "filter" => 1,
        "mangle" => 2,
        _ => 3,
    };
    let mut ordered: Vec<_> = saved.tables.iter().collect();
    ordered.sort_by_key(|(name, _)| rank(name));

    let mut text = String::new();
    for (name, table) in ordered {
        remove_from(&mut text, name, table);
    }
    text
}

fn remove_from(text: &mut String, name: &str, table: &SavedTable) {
    line(text, format_args!("*{name}"));
    delete_jumps(text, table);
    delete_chains(text, table.chains.keys());
    line(text, format_args!("COMMIT"));
}

fn delete_jumps(text: &mut String, table: &SavedTable) {
    for jump in &table.jumps {
        line(text, format_args!("-D {} {}", jump.from, jump.rule));
    }
}

/// Empties all before deleting the first: they may lead to each other.
fn delete_chains<'a>(text: &mut String, names: impl Iterator<Item = &'a String> + Clone) {
    for name in names.clone() {
        line(text, format_args!("-F {name}"));
    }
    for name in names {
        line(text, format_args!("-X {name}"));
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string can't fail.
    let _ = writeln!(text, "{arguments}");
}

/// Whether a rule's target is a chain of ours. What stands between quotes is a
/// comment, whatever it says.
fn leads_to_us(rule: &str) -> bool {
    let mut target_next = false;
    for word in unquoted_words(rule) {
        if target_next && word.starts_with(CHAIN_PREFIX) {
            return true;
        }
        target_next = matches!(word, "-j" | "-g" | "--jump" | "--goto");
    }
    false
}

/// The words of a rule that stand outside of quotes.
fn unquoted_words(rule: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    rule.split(move |letter: char| {
        let boundary = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        if boundary {
            quoted = !quoted;
        }
        boundary || (!quoted && letter.is_whitespace())
    })
    .filter(|word| !word.is_empty() && !word.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests;
