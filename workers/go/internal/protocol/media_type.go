package protocol

import "strings"

// The media types that this package writes.
const (
	MediaTypeJSON   = "application/json"
	MediaTypeBinary = "application/octet-stream"
)

// IsJSON tells whether a media type is JSON: application/json or one that ends in +json, whatever its
// case and its parameters.
func IsJSON(mediaType string) bool {
	name, _, _ := strings.Cut(mediaType, ";")
	name = strings.ToLower(strings.TrimSpace(name))
	return name == MediaTypeJSON || strings.HasSuffix(name, "+json")
}
