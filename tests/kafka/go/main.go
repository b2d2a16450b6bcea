// Producers that are driven by lines on standard input, as the Java one is: see Producer.java for the lines.
//
// Arguments: franz-go or sarama, bootstrap, topic, then any number of property=value.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// anyPartition is where the client's own choice puts a record.
const anyPartition = -1

// settings are those of Kafka's own producer that tests want to change.
type settings struct {
	clientID string
	// requestTimeout is the client's own when it is zero.
	requestTimeout time.Duration
	retryBackoff   time.Duration
}

type producer interface {
	// send hands over one record; its fate is said later.
	send(id string, partition int32)
	// flush returns when every record has met its fate.
	flush()
	close()
}

func main() {
	family, bootstrap, topic := os.Args[1], os.Args[2], os.Args[3]
	chosen := settings{clientID: family, retryBackoff: 100 * time.Millisecond}
	for _, pair := range os.Args[4:] {
		chosen.set(pair)
	}
	var driven producer
	switch family {
	case "franz-go":
		driven = startFranz(bootstrap, topic, chosen)
	case "sarama":
		driven = startSarama(bootstrap, topic, chosen)
	default:
		panic("unknown family " + family)
	}
	say("ready")
	obey(driven)
}

func obey(driven producer) {
	sent := 0
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		words := strings.Fields(commands.Text())
		switch words[0] {
		case "send":
			partition := anyPartition
			if len(words) > 2 {
				partition = number(words[2])
			}
			for range number(words[1]) {
				driven.send(fmt.Sprintf("id-%06d", sent), int32(partition))
				sent++
			}
			say("sent %d", sent)
		case "flush":
			driven.flush()
			say("flushed")
		case "close":
			driven.close()
			say("closed")
			os.Exit(0)
		default:
			say("unknown command %s", words[0])
		}
	}
	os.Exit(3)
}

func (chosen *settings) set(pair string) {
	property, value, _ := strings.Cut(pair, "=")
	switch property {
	case "client.id":
		chosen.clientID = value
	case "request.timeout.ms":
		chosen.requestTimeout = milliseconds(value)
	case "retry.backoff.ms":
		chosen.retryBackoff = milliseconds(value)
	case "delivery.timeout.ms":
		// Neither client gives a record up for its age.
	default:
		panic("unknown property " + property)
	}
}

func milliseconds(word string) time.Duration {
	return time.Duration(number(word)) * time.Millisecond
}

func number(word string) int {
	value, err := strconv.Atoi(word)
	must(err)
	return value
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func acked(id string, partition int32, offset int64) {
	say("acked %s %d %d", id, partition, offset)
}

func failed(id string, err error) {
	say("failed %s %s", id, strings.ReplaceAll(err.Error(), "\n", " "))
}

var saying sync.Mutex

func say(format string, values ...any) {
	saying.Lock()
	defer saying.Unlock()
	fmt.Printf(format+"\n", values...)
}
