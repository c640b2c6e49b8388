package message

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/waypost/waypost/domain"
)

// Limits of locations. Those of the coordinates are the globe's; Meta names none
// for the texts, these are Waypost's own.
const (
	maxLatitude     = 90
	maxLongitude    = 180
	maxLocationText = 1024
)

// Location is a place, shown on a map.
type Location struct {
	Latitude  Degrees `json:"latitude"`
	Longitude Degrees `json:"longitude"`
	// Name is the place's, Address is shown below it.
	Name    string `json:"name,omitempty"`
	Address string `json:"address,omitempty"`
}

// Degrees is an angle in decimal degrees. As JSON it is a string, the form in
// which Meta documents coordinates, never with an exponent; a number is read too.
type Degrees float64

// MarshalJSON writes the shortest string that reads as the same angle.
func (d Degrees) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatFloat(float64(d), 'f', -1, 64)), nil
}

// UnmarshalJSON reads a string or a number.
func (d *Degrees) UnmarshalJSON(data []byte) error {
	f, err := strconv.ParseFloat(string(bytes.Trim(data, `"`)), 64)
	if err != nil {
		return fmt.Errorf("a coordinate is no number of degrees: %w", err)
	}
	*d = Degrees(f)
	return nil
}

// Kind is KindLocation.
func (Location) Kind() Kind { return KindLocation }

func (Location) content() {}

// Validate checks that the coordinates are on the globe.
func (l Location) Validate() error { return domain.PrefixField("location", l.validate()) }

func (l Location) validate() error {
	if err := l.validatePoint(); err != nil {
		return err
	}
	if err := checkLength("name", l.Name, 0, maxLocationText); err != nil {
		return err
	}
	return checkLength("address", l.Address, 0, maxLocationText)
}

func (l Location) validatePoint() error {
	if !l.Latitude.within(maxLatitude) {
		return domain.Invalid("latitude", "is %v, -90 to 90 degrees are allowed", float64(l.Latitude))
	}
	if !l.Longitude.within(maxLongitude) {
		return domain.Invalid("longitude", "is %v, -180 to 180 degrees are allowed", float64(l.Longitude))
	}
	return nil
}

// within returns false for NaN.
func (d Degrees) within(most Degrees) bool { return d >= -most && d <= most }

// point is a location within another object, whose coordinates may be missing.
type point struct {
	Latitude  *Degrees `json:"latitude"`
	Longitude *Degrees `json:"longitude"`
}

func validatePoint(raw json.RawMessage) error {
	var p point
	if err := readObject(raw, &p); err != nil {
		return err
	}
	if p.Latitude == nil || p.Longitude == nil {
		return domain.Invalid("", "needs latitude and longitude")
	}
	return Location{Latitude: *p.Latitude, Longitude: *p.Longitude}.validatePoint()
}
