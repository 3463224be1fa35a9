//! Escaped HTML becomes text again, exactly once: `&amp;amp;` is `&amp;` afterwards.
//!
//! Only what PHP's escaping writes (`htmlspecialchars`, and `htmlentities` for Latin-1), and
//! numbers; every other `&` stays as it is, since a text may simply contain one. Pure.

use std::borrow::Cow;

/// Longest thing between `&` and `;` that can mean something: `#x10FFFF`, with room for zeros.
const LONGEST: usize = 10;

/// Decodes once. A text without `&` is handed back as it is.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find('&') else {
        return Cow::Borrowed(text);
    };
    let (clean, mut rest) = text.split_at(first);
    let mut decoded = String::with_capacity(text.len());
    decoded.push_str(clean);
    while let Some(after) = rest.strip_prefix('&') {
        let (character, tail) = entity(after).unwrap_or(('&', after));
        decoded.push(character);
        let (clean, next) = tail.split_at(tail.find('&').unwrap_or(tail.len()));
        decoded.push_str(clean);
        rest = next;
    }
    Cow::Owned(decoded)
}

/// The character that begins behind an `&`, and what comes after its `;`.
fn entity(after: &str) -> Option<(char, &str)> {
    let end = after
        .bytes()
        .take(LONGEST + 1)
        .position(|byte| byte == b';')?;
    let (name, rest) = (after.get(..end)?, after.get(end + 1..)?);
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "euro" => '€',
        other => match other.strip_prefix('#') {
            Some(numeric) => number(numeric)?,
            None => latin(other)?,
        },
    };
    Some((character, rest))
}

/// The names of U+00A0 to U+00FF, in their order.
const LATIN_1: [&str; 96] = [
    "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf",
    "laquo", "not", "shy", "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro",
    "para", "middot", "cedil", "sup1", "ordm", "raquo", "frac14", "frac12", "frac34", "iquest",
    "Agrave", "Aacute", "Acirc", "Atilde", "Auml", "Aring", "AElig", "Ccedil", "Egrave", "Eacute",
    "Ecirc", "Euml", "Igrave", "Iacute", "Icirc", "Iuml", "ETH", "Ntilde", "Ograve", "Oacute",
    "Ocirc", "Otilde", "Ouml", "times", "Oslash", "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute",
    "THORN", "szlig", "agrave", "aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil",
    "egrave", "eacute", "ecirc", "euml", "igrave", "iacute", "icirc", "iuml", "eth", "ntilde",
    "ograve", "oacute", "ocirc", "otilde", "ouml", "divide", "oslash", "ugrave", "uacute", "ucirc",
    "uuml", "yacute", "thorn", "yuml",
];

fn latin(name: &str) -> Option<char> {
    let place = LATIN_1.iter().position(|known| *known == name)?;
    char::from_u32(0xa0 + u32::try_from(place).ok()?)
}

fn number(text: &str) -> Option<char> {
    let (digits, radix) = match text.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // A sign would pass as a number otherwise.
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let code = u32::from_str_radix(digits, radix).ok()?;
    // 128 to 159 mean Windows' quotation marks to some and control characters to others.
    char::from_u32(code).filter(|_| !(0x80..0xa0).contains(&code))
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn what_php_escapes_is_decoded_exactly_once() {
        for (escaped, text) in [
            ("Smith &amp; Sons", "Smith & Sons"),
            (
                "&lt;b&gt;&quot;O&#039;Brien&#39;s&apos;&quot;",
                "<b>\"O'Brien's'\"",
            ),
            ("&amp;amp;", "&amp;"),
            ("&amp;#039;", "&#039;"),
            ("&#228;&#xE4;&#Xe4;&#x1F600;", "äää😀"),
            ("&eacute;&Eacute;&yuml;&szlig;", "éÉÿß"),
            ("a&nbsp;b", "a\u{a0}b"),
            ("ä&amp;ö&amp;", "ä&ö&"),
        ] {
            assert_eq!(decode(escaped), text);
        }
    }

    #[test]
    fn an_ampersand_that_escapes_nothing_stays() {
        for text in [
            "AT&T",
            "&",
            "&&",
            "a & b; c",
            "&;",
            "&#;",
            "&#x;",
            "&nosuchname;",
            "&AMP;",
            "&amp",
            "&#xD800;",
            "&#1114112;",
            "&#99999999999;",
            "&#+65;",
            "&#-1;",
            "&# 65;",
            "&#x+41;",
            "&#146;",
            "&ääääää;",
            "&ü;",
        ] {
            assert_eq!(decode(text), text);
        }
    }

    #[test]
    fn a_control_character_is_decoded_so_that_it_is_found() {
        assert_eq!(decode("a&#10;b&#0;&#x7f;"), "a\nb\0\u{7f}");
    }
}
