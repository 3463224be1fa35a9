//! What is a server's host name, and what can be made one without guessing. Pure.
//!
//! A server is bought under its name, and a name that is none is found out only once it is paid
//! for. Mended is what means the same (a trailing dot, capitals, an international name); all else
//! is refused with what is wrong.

use std::fmt;
use std::net::IpAddr;

use url::Host;

/// The longest name and the longest label that DNS has.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Why a text is no host name, as the end of a sentence that begins with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHostname {
    /// An address.
    #[error("is an IP address, no name")]
    Address,
    /// Digits and dots alone, or digits behind the last dot.
    #[error("ends in a number, as an address does")]
    Number,
    /// One label.
    #[error("has no domain")]
    OneLabel,
    /// Two dots in a row, or one at the beginning.
    #[error("has an empty part between two dots, or begins with a dot")]
    EmptyLabel,
    /// Too long a part.
    #[error("has a part of more than {LONGEST_LABEL} characters")]
    LongLabel,
    /// Too long.
    #[error("is longer than {LONGEST_NAME} characters")]
    Long,
    /// A dash where none may be.
    #[error("has a part that begins or ends with a dash")]
    Dash,
    /// A letter that no name has.
    #[error("has {0}, which no host name has")]
    Letter(Shown),
    /// Not to be written in the letters of DNS.
    #[error("cannot be written in the letters of DNS (punycode)")]
    NotPunycode,
}

/// A letter as people can see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown(char);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            '_' => f.write_str("an underscore"),
            white if white.is_whitespace() => f.write_str("a space"),
            plain if plain.is_ascii_graphic() => write!(f, "the character {plain:?}"),
            other => write!(f, "the character U+{:04X}", u32::from(other)),
        }
    }
}

/// The fully qualified name that `text` means: small letters, without the dot at its end, in
/// punycode where it is international.
pub fn mended(text: &str) -> Result<String, NoHostname> {
    let name = text.trim();
    if is_address(name) {
        return Err(NoHostname::Address);
    }
    if let Some(letter) = name.chars().find(|letter| !may_be_named(*letter)) {
        return Err(NoHostname::Letter(Shown(letter)));
    }
    let name = if name.is_ascii() {
        name.to_ascii_lowercase()
    } else {
        punycode(name)?
    };
    let name = name.strip_suffix('.').unwrap_or(&name);
    check(name)?;
    // What begins with xn-- must be punycode of something.
    if name.contains("xn--") {
        punycode(name)?;
    }
    Ok(name.to_owned())
}

fn is_address(name: &str) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
}

/// Which of the others are letters of some language is for punycode to say.
fn may_be_named(letter: char) -> bool {
    if letter.is_ascii() {
        letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-')
    } else {
        !letter.is_whitespace() && !letter.is_control()
    }
}

fn punycode(name: &str) -> Result<String, NoHostname> {
    match Host::parse(name) {
        Ok(Host::Domain(domain)) => Ok(domain),
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) => Err(NoHostname::Address),
        Err(_) => Err(NoHostname::NotPunycode),
    }
}

/// The rules of a name in the letters of DNS. Asked after it was written in them: other scripts
/// have dots, digits and underscores of their own, which have become plain ones.
fn check(name: &str) -> Result<(), NoHostname> {
    let other = |letter: &char| {
        !letter.is_ascii_lowercase() && !letter.is_ascii_digit() && !matches!(*letter, '.' | '-')
    };
    if let Some(letter) = name.chars().find(other) {
        return Err(NoHostname::Letter(Shown(letter)));
    }
    if name.len() > LONGEST_NAME {
        return Err(NoHostname::Long);
    }
    let labels: Vec<&str> = name.split('.').collect();
    if labels.iter().any(|label| label.is_empty()) {
        return Err(NoHostname::EmptyLabel);
    }
    if labels.iter().any(|label| label.len() > LONGEST_LABEL) {
        return Err(NoHostname::LongLabel);
    }
    if labels
        .iter()
        .any(|label| label.starts_with('-') || label.ends_with('-'))
    {
        return Err(NoHostname::Dash);
    }
    let number = |label: &&str| label.bytes().all(|byte| byte.is_ascii_digit());
    if labels.last().is_some_and(number) {
        return Err(NoHostname::Number);
    }
    if labels.len() < 2 {
        return Err(NoHostname::OneLabel);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_means_the_same_is_mended() {
        for (given, name) in [
            ("srv1.example.com", "srv1.example.com"),
            ("srv1.example.com.", "srv1.example.com"),
            ("  SRV1.Example.COM  ", "srv1.example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example.", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("12345.example.com", "12345.example.com"),
            ("192-0-2-5.example.com", "192-0-2-5.example.com"),
            ("a.b", "a.b"),
        ] {
            assert_eq!(mended(given).as_deref(), Ok(name), "{given}");
        }
        let longest = format!("{}.example.com", "a".repeat(63));
        assert_eq!(mended(&longest), Ok(longest));
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        let long_label = format!("{}.example.com", "a".repeat(64));
        let long = ["abcdefgh."; 29].concat() + "example";
        for (given, wrong) in [
            ("srv1..example.com", NoHostname::EmptyLabel),
            (".example.com", NoHostname::EmptyLabel),
            ("srv1.example.com..", NoHostname::EmptyLabel),
            ("", NoHostname::EmptyLabel),
            (".", NoHostname::EmptyLabel),
            ("-bad.example.com", NoHostname::Dash),
            ("bad-.example.com", NoHostname::Dash),
            ("srv.-", NoHostname::Dash),
            ("192.0.2.5", NoHostname::Address),
            ("2001:db8::5", NoHostname::Address),
            ("[2001:db8::5]", NoHostname::Address),
            ("12345", NoHostname::Number),
            ("192.0.2.5.", NoHostname::Number),
            ("1.2.3.4.5", NoHostname::Number),
            ("srv.example.7", NoHostname::Number),
            ("srv1", NoHostname::OneLabel),
            ("localhost.", NoHostname::OneLabel),
            (&long_label, NoHostname::LongLabel),
            (&long, NoHostname::Long),
            ("srv_1.example.com", NoHostname::Letter(Shown('_'))),
            ("_dmarc.example.com", NoHostname::Letter(Shown('_'))),
            ("srv＿1.example.com", NoHostname::Letter(Shown('_'))),
            ("two words.example.com", NoHostname::Letter(Shown(' '))),
            (
                "srv1\u{a0}.example.com",
                NoHostname::Letter(Shown('\u{a0}')),
            ),
            ("srv%31.example.com", NoHostname::Letter(Shown('%'))),
            ("http://srv1.example.com", NoHostname::Letter(Shown(':'))),
            ("*.example.com", NoHostname::Letter(Shown('*'))),
            ("xn--a.example.com", NoHostname::NotPunycode),
        ] {
            assert_eq!(mended(given), Err(wrong), "{given}");
        }
        assert!(
            mended("１９２.０.２.５").is_err(),
            "an address in wide digits"
        );
    }

    #[test]
    fn a_letter_that_cannot_be_seen_is_told_by_its_number() {
        let said = |text: &str| mended(text).unwrap_err().to_string();
        assert_eq!(
            said("a_b.example"),
            "has an underscore, which no host name has"
        );
        assert_eq!(
            said("a/b.example"),
            "has the character '/', which no host name has"
        );
        assert_eq!(
            said("a\u{7}b.example"),
            "has the character U+0007, which no host name has"
        );
    }

    proptest! {
        /// Whatever comes in, what comes out is a name, and mending it again changes nothing.
        #[test]
        fn a_mended_name_is_one(text in ".{0,80}", label in "[A-Za-zé-]{1,20}", domain in "[a-zß.]{1,20}") {
            for text in [text, format!("{label}.{domain}")] {
                if let Ok(name) = mended(&text) {
                    prop_assert!(name.is_ascii() && name.contains('.') && name.len() <= 253);
                    prop_assert_eq!(mended(&name), Ok(name.clone()));
                }
            }
        }
    }
}
