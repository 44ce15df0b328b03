package protocol

import "encoding/json"

const (
	// AttributeCheckpoint is the attribute of an event that has what the handler saved last, as JSON text.
	AttributeCheckpoint = "checkpoint"
	// MaxCheckpointBytes is how long that text may be.
	MaxCheckpointBytes = 4_000
)

// Checkpoint returns the text of the event's checkpoint; nil if the event has none, or one too long.
func (e *StatusEvent) Checkpoint() *string {
	text, found := e.Attributes[AttributeCheckpoint]
	if !found || len(text) > MaxCheckpointBytes {
		return nil
	}
	return &text
}

// CheckpointForHandler returns what a handler gets of a checkpoint's text: nil if there is none, if it was
// cleared, or if it is not JSON.
func CheckpointForHandler(text *string) json.RawMessage {
	if text == nil || *text == "null" || !json.Valid([]byte(*text)) {
		return nil
	}
	return json.RawMessage(*text)
}
