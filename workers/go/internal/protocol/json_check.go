package protocol

import (
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"
)

// checkJSON finds what encoding/json accepts and the protocol does not: bytes that are not UTF-8, half a
// surrogate pair, and numbers too large for a double. The value is known to be JSON.
func checkJSON(value []byte) error {
	if !utf8.Valid(value) {
		return unreadable("the JSON is not UTF-8")
	}
	for i := 0; i < len(value); {
		switch b := value[i]; {
		case b == '"':
			end, ok := endOfString(value, i+1)
			if !ok {
				return unreadable("a text has half a surrogate pair")
			}
			i = end
		case b == '-' || '0' <= b && b <= '9':
			end := endOfNumber(value, i)
			if err := checkNumber(value[i:end]); err != nil {
				return err
			}
			i = end
		default:
			i++
		}
	}
	return nil
}

// endOfString returns the index after the closing quote; false if there is half a surrogate pair.
func endOfString(value []byte, i int) (int, bool) {
	for i < len(value) {
		switch value[i] {
		case '"':
			return i + 1, true
		case '\\':
			unit, isUnit := codeUnit(value, i)
			switch {
			case !isUnit:
				i += 2
			case 0xD800 <= unit && unit < 0xDC00:
				low, isUnit := codeUnit(value, i+6)
				if !isUnit || low < 0xDC00 || low > 0xDFFF {
					return i, false
				}
				i += 12
			case 0xDC00 <= unit && unit <= 0xDFFF:
				return i, false
			default:
				i += 6
			}
		default:
			i++
		}
	}
	return i, true
}

// codeUnit returns the UTF-16 code unit of an escape such as \u00e4.
func codeUnit(value []byte, i int) (uint64, bool) {
	if i+6 > len(value) || value[i] != '\\' || value[i+1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(value[i+2:i+6]), 16, 32)
	return unit, err == nil
}

func endOfNumber(value []byte, i int) int {
	for i < len(value) {
		switch b := value[i]; {
		case '0' <= b && b <= '9', b == '-', b == '+', b == '.', b == 'e', b == 'E':
			i++
		default:
			return i
		}
	}
	return i
}

func checkNumber(text []byte) error {
	const alwaysFits = 300 // digits without an exponent
	isShort := len(text) < alwaysFits
	for _, b := range text {
		if b == 'e' || b == 'E' {
			isShort = false
		}
	}
	if isShort {
		return nil
	}
	if number, err := strconv.ParseFloat(string(text), 64); err != nil || math.IsInf(number, 0) {
		return unreadable("a number is too large for a double")
	}
	return nil
}

// ValidJSON tells whether bytes are JSON as the protocol wants it.
func ValidJSON(value []byte) error {
	if !json.Valid(value) {
		return unreadable("it is not JSON")
	}
	return checkJSON(value)
}
