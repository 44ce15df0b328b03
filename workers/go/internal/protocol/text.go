package protocol

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of texts, in bytes of UTF-8: what is longer is cut.
const (
	MaxNameBytes         = 250
	MaxUnitBytes         = 50
	MaxMessageBytes      = 2_000
	MaxErrorMessageBytes = 4_000
	MaxDetailsBytes      = 32_000
)

// OneLine returns text as one line that is safe to show: text from payloads and errors may contain
// anything. Control characters and line breaks become spaces.
func OneLine(text string, limit int) string {
	return cut(strings.TrimSpace(strings.Map(func(r rune) rune {
		if !isShown(r) {
			return ' '
		}
		return r
	}, text)), limit)
}

// Block returns text of several lines that is safe to show.
func Block(text string, limit int) string {
	return cut(strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !isShown(r) {
			return ' '
		}
		return r
	}, text), limit)
}

func isShown(r rune) bool {
	return !unicode.IsControl(r) && !unicode.Is(unicode.Bidi_Control, r) && r != '\u2028' && r != '\u2029'
}

// cut keeps the beginning of a text, and makes it valid UTF-8.
func cut(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	const ellipsis = "…"
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}
