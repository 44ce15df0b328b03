//! Text that is safe to show: text of payloads and errors may contain anything.

/// The limits of texts, in bytes of UTF-8: what is longer is cut.
pub(crate) const MAX_NAME_BYTES: usize = 250;
pub(crate) const MAX_UNIT_BYTES: usize = 50;
pub(crate) const MAX_MESSAGE_BYTES: usize = 2_000;
pub(crate) const MAX_ERROR_MESSAGE_BYTES: usize = 4_000;
pub(crate) const MAX_DETAILS_BYTES: usize = 32_000;

const ELLIPSIS: &str = "…";

/// A text as one line: control characters and line breaks become spaces.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let shown: String = text.chars().map(|c| if is_shown(c) { c } else { ' ' }).collect();
    cut(shown.trim(), limit)
}

/// A text of several lines.
pub(crate) fn block(text: &str, limit: usize) -> String {
    let is_kept = |c| c == '\n' || c == '\t' || is_shown(c);
    let shown: String = text.chars().map(|c| if is_kept(c) { c } else { ' ' }).collect();
    cut(&shown, limit)
}

fn is_shown(c: char) -> bool {
    let changes_direction = matches!(
        c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !c.is_control() && !changes_direction && c != '\u{2028}' && c != '\u{2029}'
}

fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(limit.saturating_sub(ELLIPSIS.len()));
    format!("{}{ELLIPSIS}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_control_characters_and_no_line_breaks() {
        assert_eq!(one_line(" a\nb\u{7}\u{202e}c\u{2028} ", 100), "a b  c");
        assert_eq!(block("a\n\tb\r", 100), "a\n\tb ");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(one_line("äöü", 6), "äöü");
        assert_eq!(one_line("äöüß", 7), "äö…");
    }
}
