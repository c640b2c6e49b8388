package store

import "encoding/binary"

// The first byte of a key tells what it is. Numbers are big endian, so that keys sort as numbers do.
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

// appendStreamKey puts the length in front of the name, so that no stream's keys lie between those of another.
func appendStreamKey(dst []byte, stream string, revision int64) []byte {
	dst = binary.BigEndian.AppendUint16(append(dst, streamKey), uint16(len(stream))) // names are at most maxStreamName
	return binary.BigEndian.AppendUint64(append(dst, stream...), uint64(revision))
}

func streamKeyRevision(key []byte) int64 {
	return int64(binary.BigEndian.Uint64(key[len(key)-8:]))
}
