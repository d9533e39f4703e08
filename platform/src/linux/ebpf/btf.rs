//! The kernel's description of its own structures (BTF), as far as finding
//! the place of a field takes: total, any bytes give an answer.
//!
//! Source: Documentation/bpf/btf.rst in the kernel's source.

use super::NotesError;
use crate::linux::netlink::{read_u16, read_u32};

const MAGIC: u16 = 0xeb9f;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNCTION: u32 = 12;
const KIND_TYPE_TAG: u32 = 18;

/// Bytes of `struct btf_type`.
const TYPE_BYTES: usize = 12;
/// Bytes of `struct btf_member`.
const MEMBER_BYTES: usize = 12;

/// How deep unnamed structures may lie in each other, and how many names a type may have.
const DEEPEST: usize = 16;

/// A description.
pub(super) struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type begins, by its number less one.
    starts: Vec<u32>,
}

/// A type's own fields.
#[derive(Clone, Copy)]
struct Type {
    at: usize,
    name: u32,
    kind: u32,
    members: usize,
    has_bitfields: bool,
    refers_to: u32,
}

impl<'a> Btf<'a> {
    /// Reads the table of types.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, NotesError> {
        Self::try_parse(bytes).ok_or_else(|| NotesError::Btf("it is malformed".to_owned()))
    }

    fn try_parse(bytes: &'a [u8]) -> Option<Self> {
        if read_u16(bytes, 0)? != MAGIC {
            return None;
        }
        let field = |at| read_u32(bytes, at).and_then(|value| usize::try_from(value).ok());
        let header = field(4)?;
        let section = |start: usize, length: usize| {
            let start = header.checked_add(start)?;
            bytes.get(start..start.checked_add(length)?)
        };
        let types = section(field(8)?, field(12)?)?;
        let strings = section(field(16)?, field(20)?)?;
        let mut btf = Self { types, strings, starts: Vec::new() };
        let mut at = 0;
        while at < types.len() {
            let found = btf.type_at(at)?;
            btf.starts.push(u32::try_from(at).ok()?);
            at = at.checked_add(TYPE_BYTES)?.checked_add(trailing_bytes(&found)?)?;
        }
        Some(btf)
    }

    /// Where a field lies in a structure, in bytes. `path` names fields within
    /// fields: `ns.inum`.
    pub(super) fn offset_of(&self, structure: &str, path: &str) -> Result<u32, NotesError> {
        self.structure(structure)
            .and_then(|mut found| {
                let mut offset = 0_u32;
                for name in path.split('.') {
                    let (bits, inner) = self.member(&found, name, DEEPEST)?;
                    offset = offset.checked_add(bits / 8)?;
                    found = self.resolved(inner)?;
                }
                Some(offset)
            })
            .ok_or_else(|| NotesError::Btf(format!("there is no {structure}.{path}")))
    }

    /// The number of a function's type, by which a program is attached to it.
    pub(super) fn function(&self, name: &str) -> Result<u32, NotesError> {
        let is_it = |at: &u32| {
            self.type_at(*at as usize).is_some_and(|found| {
                found.kind == KIND_FUNCTION && self.is_called(found.name, name)
            })
        };
        let index = self.starts.iter().position(is_it);
        index
            .and_then(|index| u32::try_from(index + 1).ok())
            .ok_or_else(|| NotesError::Btf(format!("there is no function {name}")))
    }

    fn structure(&self, name: &str) -> Option<Type> {
        let structures = self.starts.iter().filter_map(|at| self.type_at(*at as usize));
        structures
            .filter(|found| found.kind == KIND_STRUCT && found.members > 0)
            .find(|found| self.is_called(found.name, name))
    }

    /// A member's place in bits and its type; unnamed members are looked into.
    fn member(&self, of: &Type, name: &str, depth: usize) -> Option<(u32, u32)> {
        if of.kind != KIND_STRUCT && of.kind != KIND_UNION {
            return None;
        }
        for index in 0..of.members {
            let at = of.at + TYPE_BYTES + index * MEMBER_BYTES;
            let (member, kind) = (read_u32(self.types, at)?, read_u32(self.types, at + 4)?);
            let raw = read_u32(self.types, at + 8)?;
            let bits = if of.has_bitfields { raw & 0x00ff_ffff } else { raw };
            let found = self.string(member)?;
            if found == name.as_bytes() {
                return Some((bits, kind));
            }
            if found.is_empty() && depth > 0 {
                let inner = self.resolved(kind)?;
                if let Some((inside, kind)) = self.member(&inner, name, depth - 1) {
                    return Some((bits.checked_add(inside)?, kind));
                }
            }
        }
        None
    }

    /// A type without its other names and qualifiers.
    fn resolved(&self, mut number: u32) -> Option<Type> {
        const NAMES: [u32; 5] =
            [KIND_TYPEDEF, KIND_VOLATILE, KIND_CONST, KIND_RESTRICT, KIND_TYPE_TAG];
        for _ in 0..DEEPEST {
            let index = usize::try_from(number.checked_sub(1)?).ok()?;
            let found = self.type_at(*self.starts.get(index)? as usize)?;
            if !NAMES.contains(&found.kind) {
                return Some(found);
            }
            number = found.refers_to;
        }
        None
    }

    fn type_at(&self, at: usize) -> Option<Type> {
        let info = read_u32(self.types, at + 4)?;
        Some(Type {
            at,
            name: read_u32(self.types, at)?,
            kind: info >> 24 & 0x1f,
            members: (info & 0xffff) as usize,
            has_bitfields: info >> 31 == 1,
            refers_to: read_u32(self.types, at + 8)?,
        })
    }

    /// Whether a name is this one; without looking for the end of every other.
    fn is_called(&self, at: u32, name: &str) -> bool {
        let rest = usize::try_from(at).ok().and_then(|at| self.strings.get(at..));
        let after = rest.and_then(|rest| rest.strip_prefix(name.as_bytes()));
        after.is_some_and(|after| after.first().is_none_or(|byte| *byte == 0))
    }

    fn string(&self, at: u32) -> Option<&[u8]> {
        let rest = self.strings.get(usize::try_from(at).ok()?..)?;
        rest.split(|byte| *byte == 0).next()
    }
}

/// Bytes that follow a type's own: its members, values or parameters. `None` for a kind that nobody knows.
fn trailing_bytes(of: &Type) -> Option<usize> {
    let each = match of.kind {
        1 | 14 | 17 => return Some(4),
        KIND_ARRAY => return Some(12),
        KIND_STRUCT | KIND_UNION | 15 | 19 => 12,
        6 | 13 => 8,
        2 | 7..=12 | 16 | KIND_TYPE_TAG => return Some(0),
        _ => return None,
    };
    of.members.checked_mul(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_running_kernel_are_found() {
        let bytes = std::fs::read("/sys/kernel/btf/vmlinux")
            .expect("this kernel describes itself in /sys/kernel/btf/vmlinux");
        let btf = Btf::parse(&bytes).expect("well formed");
        assert_eq!(btf.offset_of("path", "mnt").expect("there"), 0);
        assert_eq!(btf.offset_of("path", "dentry").expect("there"), 8);
        assert_eq!(btf.offset_of("list_head", "prev").expect("there"), 8);
        assert!(btf.offset_of("dentry", "d_name.name").expect("in an unnamed union") > 0);
        assert!(btf.offset_of("path", "nothing").is_err());
        assert!(btf.offset_of("no_such_structure", "mnt").is_err());
        assert!(btf.function("nf_hook_slow").expect("there") > 0);
        assert!(btf.function("no_such_function").is_err());
    }

    #[test]
    fn malformed_descriptions_are_refused() {
        let mut header = vec![0; 24];
        header[..2].copy_from_slice(&MAGIC.to_ne_bytes());
        header[4..8].copy_from_slice(&24_u32.to_ne_bytes());
        assert!(Btf::parse(&header).is_ok(), "without types");
        for bytes in [&header[..20], &[][..], &[0; 24][..]] {
            assert!(Btf::parse(bytes).is_err());
        }
        header[12..16].copy_from_slice(&12_u32.to_ne_bytes());
        header[16..20].copy_from_slice(&12_u32.to_ne_bytes());
        assert!(Btf::parse(&header).is_err(), "types beyond the end");
        header.extend([0; 12]);
        assert!(Btf::parse(&header).is_err(), "a kind that nobody knows");
    }
}
