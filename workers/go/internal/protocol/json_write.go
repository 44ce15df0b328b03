package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
)

func encodeJSON[M any](message *M, toJSON func(*M) (any, error)) ([]byte, error) {
	document, err := toJSON(message)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return nil, fmt.Errorf("encode as JSON: %w", err)
	}
	return bytes.TrimRight(text.Bytes(), "\n"), nil
}

// dataToJSON inlines JSON, and makes every other type a text in base64. No media type is no value.
func dataToJSON(data []byte, mediaType *string) (any, error) {
	switch {
	case mediaType == nil || data == nil:
		return nil, nil
	case !IsJSON(*mediaType):
		return data, nil // encoding/json writes bytes as standard base64
	}
	if err := ValidJSON(data); err != nil {
		return nil, fmt.Errorf("a value of the media type %s is not valid: %w", *mediaType, err)
	}
	return json.RawMessage(data), nil
}

type jsonReference struct {
	URI    string `json:"uri"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

type jsonProgress struct {
	Completed float64  `json:"completed"`
	Total     *float64 `json:"total,omitempty"`
	Unit      *string  `json:"unit,omitempty"`
}

type jsonFailure struct {
	Type      string  `json:"type"`
	Message   string  `json:"message"`
	Details   *string `json:"details,omitempty"`
	Retryable bool    `json:"retryable"`
}

type jsonEvent struct {
	CorrelationID string            `json:"correlation_id"`
	EventID       string            `json:"event_id"`
	Delivery      int32             `json:"delivery"`
	Sequence      int64             `json:"sequence"`
	State         State             `json:"state"`
	OccurredAt    int64             `json:"occurred_at"`
	WorkerID      string            `json:"worker_id"`
	Message       *string           `json:"message,omitempty"`
	Progress      *jsonProgress     `json:"progress,omitempty"`
	ExternalID    *string           `json:"external_id,omitempty"`
	Result        any               `json:"result,omitempty"`
	ResultType    *string           `json:"result_type,omitempty"`
	ResultRef     *jsonReference    `json:"result_ref,omitempty"`
	Error         *jsonFailure      `json:"error,omitempty"`
	Attributes    map[string]string `json:"attributes,omitempty"`
}

func eventToJSON(e *StatusEvent) (any, error) {
	result, err := dataToJSON(e.Result, e.ResultType)
	if err != nil {
		return nil, err
	}
	return &jsonEvent{
		CorrelationID: e.CorrelationID,
		EventID:       e.EventID,
		Delivery:      e.Delivery,
		Sequence:      e.Sequence,
		State:         e.State,
		OccurredAt:    e.OccurredAt,
		WorkerID:      e.WorkerID,
		Message:       e.Message,
		Progress:      (*jsonProgress)(e.Progress),
		ExternalID:    e.ExternalID,
		Result:        result,
		ResultType:    e.ResultType,
		ResultRef:     (*jsonReference)(e.ResultRef),
		Error:         (*jsonFailure)(e.Error),
		Attributes:    e.Attributes,
	}, nil
}
