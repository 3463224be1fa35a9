//! The known word that is nearest to a mistyped one. Pure.

/// The same, where it is near enough to be taken for what was meant.
pub fn meant<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let near = nearest(word, known)?;
    let (from, to) = (word.to_lowercase(), near.to_lowercase());
    let begins = from.len().min(to.len()) > 2 && (from.starts_with(&to) || to.starts_with(&from));
    let longer = from.chars().count().max(to.chars().count());
    (begins || distance(&from, &to) * 3 <= longer).then_some(near)
}

/// The one of `known` that takes the fewest changes to become, one that only lacks its end
/// first; none when there are none.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let is_beginning = |candidate: &str| word.len() > 2 && candidate.starts_with(word);
    known
        .into_iter()
        .min_by_key(|known| (!is_beginning(known), distance(word, known)))
}

/// How many letters have to be put in, taken out or replaced.
fn distance(from: &str, to: &str) -> usize {
    // A word from outside can be long; beyond this it is far from everything.
    let from: Vec<char> = from.to_lowercase().chars().take(64).collect();
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.iter().enumerate() {
        let mut corner = line;
        let mut left = line + 1;
        let mut next = vec![left];
        for (other, above) in to.iter().zip(row.iter().skip(1)) {
            let replaced = corner + usize::from(letter != other);
            left = replaced.min(above + 1).min(left + 1);
            corner = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_single_changes() {
        for (from, to, changes) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("listn", "listen", 1),
        ] {
            assert_eq!(distance(from, to), changes, "{from} {to}");
            assert_eq!(distance(to, from), changes, "{to} {from}");
        }
    }

    #[test]
    fn the_nearest_word_is_found_whatever_the_case() {
        let known = ["listen", "body_limit"];
        assert_eq!(nearest("LISTN", known), Some("listen"));
        assert_eq!(nearest("bodylimit", known), Some("body_limit"));
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn only_what_is_near_is_taken_for_what_was_meant() {
        let known = ["location", "operating system", "license ip"];
        for (word, near) in [
            ("operating systems", Some("operating system")),
            ("Operatingsystem", Some("operating system")),
            ("operating", Some("operating system")),
            ("locaton", Some("location")),
            ("licence ip", Some("license ip")),
            ("control panel", None),
            ("os", None),
            ("", None),
        ] {
            assert_eq!(meant(word, known), near, "{word}");
        }
        assert_eq!(meant("location", []), None);
    }

    #[test]
    fn the_beginning_of_a_word_is_nearer_than_another_word() {
        assert_eq!(
            nearest("a.cancel", ["a.power", "a.cancel_device"]),
            Some("a.cancel_device")
        );
    }
}
