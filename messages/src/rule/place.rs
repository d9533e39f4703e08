//! Countries and continents, as rules and geographic data name them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A country by its two letters (ISO 3166-1 alpha-2, and XK, which geographic
/// data use for Kosovo).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

/// A continent by its two letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Continent {
    /// Africa
    Af,
    /// Antarctica
    An,
    /// Asia
    As,
    /// Europe
    Eu,
    /// North America
    Na,
    /// Oceania
    Oc,
    /// South America
    Sa,
}

/// The letters name no country.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no country")]
pub struct NoCountry(String);

/// All codes that are assigned, in order, two letters each.
const COUNTRIES: &str = "\
ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCN\
COCRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHM\
HNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMK\
MLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURW\
SASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVI\
VNVUWFWSXKYEYTZAZMZW";

impl Country {
    /// The country of that code, in capital letters, if there is one.
    pub fn of_code(code: &str) -> Option<Self> {
        let code: [u8; 2] = code.as_bytes().try_into().ok()?;
        COUNTRIES.as_bytes().chunks_exact(2).any(|known| known == code).then_some(Self(code))
    }

    /// Its code.
    pub fn code(&self) -> &str {
        // Always two ASCII letters, as they were taken from a text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Continent {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Af, Self::An, Self::As, Self::Eu, Self::Na, Self::Oc, Self::Sa];

    /// Its code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Af => "AF",
            Self::An => "AN",
            Self::As => "AS",
            Self::Eu => "EU",
            Self::Na => "NA",
            Self::Oc => "OC",
            Self::Sa => "SA",
        }
    }

    /// The continent of that code, if there is one.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|continent| continent.code() == code)
    }
}

impl TryFrom<String> for Country {
    type Error = NoCountry;

    fn try_from(code: String) -> Result<Self, NoCountry> {
        Self::of_code(&code).ok_or(NoCountry(code))
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.code().to_owned()
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_known_by_their_codes() {
        for code in ["AD", "AS", "AT", "CH", "DE", "GB", "XK", "ZW"] {
            assert_eq!(
                Country::of_code(code).map(|country| country.code().to_owned()).as_deref(),
                Some(code)
            );
        }
        for code in ["UK", "EU", "DA", "de", "D", "DEU", "", "ÄÖ"] {
            assert_eq!(Country::of_code(code), None, "{code}");
        }
    }

    #[test]
    fn the_table_is_in_order_and_whole() {
        let codes: Vec<_> = COUNTRIES.as_bytes().chunks(2).collect();
        assert_eq!(codes.len(), 250, "249 of ISO 3166-1, and XK");
        assert!(codes.is_sorted() && codes.iter().all(|code| code.len() == 2));
    }
}
