package store

import (
	"encoding/binary"
	"math"
)

// The first byte of a key identifies its kind. Numbers are big-endian, so keys sort like numbers.
const (
	logKey    = 'a' // position -> record
	headKey   = 'h' // stream -> head
	metaKey   = 'm' // name -> a fact about the store itself
	streamKey = 's' // length and bytes of the stream's name, revision -> position
)

func appendLogKey(dst []byte, position uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, logKey), position)
}

func logKeyPosition(key []byte) uint64 { return binary.BigEndian.Uint64(key[1:]) }

func appendHeadKey(dst []byte, stream string) []byte {
	return append(append(dst, headKey), stream...)
}

func appendMetaKey(dst []byte, name string) []byte {
	return append(append(dst, metaKey), name...)
}

// appendStreamKey puts the length before the name, so that no stream's keys are between those of another stream. The
// length takes two bytes, or longName and four bytes.
func appendStreamKey(dst []byte, stream string, revision int64) []byte {
	dst = append(dst, streamKey)
	if len(stream) < longName {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(stream)))
	} else {
		dst = binary.BigEndian.AppendUint16(dst, longName)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(stream)))
	}
	return binary.BigEndian.AppendUint64(append(dst, stream...), uint64(revision))
}

// longName in place of a name's length means that the length follows.
const longName = math.MaxUint16

func streamKeyRevision(key []byte) int64 {
	return int64(binary.BigEndian.Uint64(key[len(key)-8:]))
}

// parseStreamKey reverses appendStreamKey. It returns false if the key is malformed.
func parseStreamKey(key []byte) (stream string, revision int64, ok bool) {
	const kind, short, long, number = 1, 2, 4, 8
	if len(key) < kind+short+number {
		return "", 0, false
	}
	length, rest := int(binary.BigEndian.Uint16(key[kind:])), key[kind+short:]
	if length == longName {
		if len(rest) < long {
			return "", 0, false
		}
		length, rest = int(binary.BigEndian.Uint32(rest)), rest[long:]
	}
	if len(rest) != length+number {
		return "", 0, false
	}
	return string(rest[:length]), streamKeyRevision(key), true
}
