package whatsapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

// numberFields are requested of a phone number.
// Sources: Meta's pages on messaging limits and throughput, September 2026.
const numberFields = "quality_rating,throughput,whatsapp_business_manager_messaging_limit"

// standardThroughput is the throughput of a number that WhatsApp has not upgraded, in messages per second.
// Source: Meta's page on throughput.
const standardThroughput = 80

// PhoneNumber returns what WhatsApp lists about a number (GET /{phone number}): its quality, its messaging limit, and its
// throughput. What it doesn't list is missing from the report, and so is the time.
func (c *Client) PhoneNumber(ctx context.Context, phoneNumberID, token string) (sender.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	target := c.base
	target.Path += "/" + phoneNumberID
	target.RawQuery = "fields=" + numberFields
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return sender.Report{}, errors.New("read the phone number: the URL with its ID is invalid")
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("User-Agent", "waypost")
	answer, err := c.http.Do(request)
	if err != nil {
		return sender.Report{}, fmt.Errorf("read the phone number: %s", rootCause(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return sender.Report{}, fmt.Errorf("read the phone number: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		if refused, ok := c.errors.result(answer.StatusCode, answer.Header, body, phoneNumberID).(message.Refused); ok {
			return sender.Report{}, fmt.Errorf("read the phone number: status %d: %s", answer.StatusCode, refused.Failure.Message)
		}
		return sender.Report{}, fmt.Errorf("read the phone number: status %d", answer.StatusCode)
	}
	return numberReport(body)
}

func numberReport(body []byte) (sender.Report, error) {
	var v struct {
		Quality    text            `json:"quality_rating"`
		Limit      peopleLimit     `json:"whatsapp_business_manager_messaging_limit"`
		Throughput json.RawMessage `json:"throughput"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return sender.Report{}, fmt.Errorf("read the phone number: %w", err)
	}
	r := sender.Report{Limit: v.Limit.Limit}
	known := []sender.Quality{sender.QualityGreen, sender.QualityYellow, sender.QualityRed, sender.QualityUnknown}
	if q := sender.Quality(v.Quality); slices.Contains(known, q) {
		r.Quality = q
	}
	var throughput struct {
		Level text `json:"level"`
	}
	_ = json.Unmarshal(v.Throughput, &throughput) // its form is not certain; then it is not known
	switch throughput.Level {
	case "STANDARD":
		r.Throughput = standardThroughput
	case "HIGH":
		r.Throughput = highThroughput
	}
	return r, nil
}
